"""Chat templates rendered by Jinja2 as Hugging Face's apply_chat_template does, for text.py."""

import datetime
import json

import gguf
import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

U, A, S = "user", "assistant", "system"
CONVERSATIONS = [
    [(U, "Hi")],
    [(S, "You are terse."), (U, "Why is the sky blue?")],
    [(U, "Hi"), (A, "Hello! How can I help?"), (U, "Tell me a joke.")],
    [(S, ""), (U, ""), (A, ""), (U, " ")],
    [(S, " Be\n kind. \n"), (U, "  leading and trailing  \n"), (A, "\n\nok\n"), (U, "<b>&amp; 'quoted' \"text\"</b>\n")],
    [(U, "{{ not }} {% a %} {# template #}"), (A, "\\n \\u003c \u00e9 \U0001f600"), (U, "<|im_end|>")],
    [(S, "s"), (S, "again"), (U, "u")],
    [(A, "starts with the assistant"), (U, "u")],
    [(U, "u"), (U, "u again")],
    [("tool", "{\"a\": 1}"), (U, "u")],
    [],
]

# Idioms of published templates, written anew: trimming, namespaces, slices, string methods, filters, loop controls.
TEMPLATES = {
    "trim": "{% for m in messages %}\n    {% if m.role == 'user' %}\n  U: {{ m.content | trim }}\n    {% else %}\n  {{- m.role | upper }}: {{ m['content'].strip() -}}\n    {% endif %}\n{% endfor %}\n",
    "inst": "{{ bos_token }}{% if messages and messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set loop_messages = messages[1:] %}{% else %}{% set system = false %}{% set loop_messages = messages %}{% endif %}{% for m in loop_messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] %}{% else %}{% set content = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ '[INST] ' + content.strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "headers": "{{- bos_token }}\n{%- if tools is not none %}{{ 'TOOLS' }}{%- endif %}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n        {%- set date_string = strftime_now('%Y') | length %}\n    {%- endif %}\n{%- endif %}\n{%- for message in messages %}\n    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n{{- date_string }}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n",
    "namespace": "{%- set ns = namespace(last=-1, seen='') -%}\n{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if m.role == 'user' and ns.last < 0 %}{%- set ns.last = index %}{%- endif %}{%- set ns.seen = ns.seen ~ m.role[0] %}{%- endfor %}\n{{ ns.last }}|{{ ns.seen }}|{{ messages | map(attribute='role') | join(',') }}|{{ messages | selectattr('role', 'equalto', 'user') | list | length }}\n",
    "methods": "{% for m in messages %}{{ m.content.split(' ')[-1] }}|{{ m.content.startswith('H') }}|{{ m.content.endswith('\\n') }}|{{ m.content.replace('e', 'E') }}|{{ m.content.lstrip('\\n') }}|{{ m.content.rstrip() }}|{{ m.content.upper() }}|{{ m.get('name', 'none') }}|{{ 'content' in m }}|{{ m.content is string }}\n{% endfor %}",
    "json": "{% for m in messages %}{{ m.content | tojson }} {{ {'a': [1, 2.5, none, true], 'b': m.role} | tojson }}\n{% endfor %}{{ [1, 2] | tojson(indent=2) }}",
    "loops": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ m.content if m.content else 'empty' }};{% endfor %}{{ undefined_name }}{{ messages|length > 2 and 'long' or 'short' }}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}\n{{ m.content }}{%- endgeneration -%}\n{% else %}{{ m.content }}{% endif %}\n{% endfor %}",
    "macro": "{%- macro turn(role, content, end='<end>') -%}\n<{{ role }}>{{ content }}{{ end }}\n{%- endmacro -%}\n{%- for m in messages -%}{{ turn(m.role, m.content) }}{{ turn(role='x', content=m.content | length | string, end='') }}{%- endfor -%}",
    "crlf": "A\r\n{% if true %}\r\nB\r\n{% endif %}\r\nC\n\n",
    "broken": "{% for m in messages %}{{ m.content }",
    "raises": "{{ raise_exception('no: ' ~ messages | length) }}",
    "missing": "{{ messages[0].content.nothing.here }}",
}


class Generation(jinja2.ext.Extension):
    """Hugging Face's tag that marks what to train on."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.If(jinja2.nodes.Const(True), body, [], [], lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render(source, conversation, add_generation_prompt, bos, eos):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.now().strftime(f)
    messages = [{"role": r, "content": c} for r, c in conversation]
    try:
        return env.from_string(source).render(messages=messages, tools=None, documents=None, bos_token=bos, eos_token=eos,
                                              add_generation_prompt=add_generation_prompt)
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}


def chat_cases(model, llama):
    fields = gguf.GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    bos, eos = (tokens[fields[f"tokenizer.ggml.{k}_token_id"].contents()] for k in ("bos", "eos"))
    templates = {"default model": fields["tokenizer.chat_template"].contents(), **TEMPLATES}
    cases = []
    for name, source in templates.items():
        for i, conversation in enumerate(CONVERSATIONS):
            for add in (True, False):
                text = render(source, conversation, add, bos, eos)
                cases.append([name, i, add, text])
                if name == "default model" and add and conversation:
                    messages = [{"role": r, "content": c} for r, c in conversation]
                    prompt = llama.post("/apply-template", messages=messages)["prompt"]
                    if prompt != text:
                        print("llama.cpp differs from Jinja2 on conversation", i, repr(prompt), repr(text))
    return {"bos": bos, "eos": eos, "templates": templates, "conversations": CONVERSATIONS, "cases": cases}
