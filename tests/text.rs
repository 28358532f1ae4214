//! Tokenizer, chat templates and sampler against what llama.cpp and Jinja2 say
//! (`tests/golden/text.py`), without a model file.

use std::collections::HashMap;

use mantissa::Error;
use mantissa::model::chat::{ChatTemplate, Message};
use mantissa::model::tokenizer::{Tokenizer, TokenizerData};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

fn strings() -> Vec<String> {
    let strings: Vec<String> = golden("text_strings");
    assert!(strings.len() >= 400);
    strings
}

#[derive(Deserialize)]
struct Vocabulary {
    tokens: Vec<String>,
    token_types: Vec<i32>,
    merges: Option<Vec<String>>,
    scores: Option<Vec<f32>>,
    bos: u32,
    eos: u32,
}

/// What llama.cpp says of a vocabulary: ids of each string, plain and with special tokens parsed
/// (the latter only where it differs).
#[derive(Deserialize)]
struct Golden {
    vocabulary: Vocabulary,
    rows: Vec<Vec<Vec<u32>>>,
    added: Vec<Vec<u32>>,
    ends: Vec<u32>,
}

/// The same for a variant, where it differs.
#[derive(Deserialize)]
struct Variant<Row> {
    rows: HashMap<usize, Row>,
    added: Vec<Vec<u32>>,
    ends: Vec<u32>,
}

/// The texts of `added`.
const ADDED: [&str; 4] = ["", " ", "Hello", " Hello"];

fn bpe_data(v: &Vocabulary, pre: &str) -> TokenizerData {
    TokenizerData {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens: v.tokens.clone(),
        token_types: Some(v.token_types.clone()),
        merges: v.merges.clone(),
        bos: Some(v.bos),
        eos: Some(v.eos),
        ..TokenizerData::default()
    }
}

fn spm_data(v: &Vocabulary) -> TokenizerData {
    TokenizerData {
        model: "llama".into(),
        scores: v.scores.clone(),
        merges: None,
        pre: None,
        ..bpe_data(v, "")
    }
}

/// All strings whose ids are not llama.cpp's.
fn mismatches<'a>(
    tokenizer: &Tokenizer,
    rows: impl Iterator<Item = (&'a str, bool, &'a [u32])>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (text, parse_special, expected) in rows {
        let ids = tokenizer.encode(text, false, parse_special).unwrap();
        if ids != expected {
            wrong.push(format!("{text:?} ({parse_special}): {ids:?}, llama.cpp {expected:?}"));
        }
    }
    wrong
}

#[track_caller]
fn check_rows(name: &str, tokenizer: &Tokenizer, rows: &[Vec<Vec<u32>>]) {
    let strings = strings();
    assert_eq!(strings.len(), rows.len());
    let both = strings.iter().zip(rows).flat_map(|(text, row)| {
        [(text.as_str(), false, &row[0][..]), (text.as_str(), true, &row[row.len() - 1][..])]
    });
    let wrong = mismatches(tokenizer, both);
    assert!(wrong.is_empty(), "{name}: {} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[track_caller]
fn check_added(name: &str, tokenizer: &Tokenizer, added: &[Vec<u32>]) {
    for (text, expected) in ADDED.iter().zip(added) {
        assert_eq!(&tokenizer.encode(text, true, false).unwrap(), expected, "{name}: {text:?}");
    }
}

#[test]
fn bpe_gives_the_ids_of_llama_cpp() {
    let golden: Golden = golden("text_bpe");
    let tokenizer = Tokenizer::new(bpe_data(&golden.vocabulary, "gpt-2")).unwrap();
    check_rows("gpt-2", &tokenizer, &golden.rows);
    check_added("gpt-2", &tokenizer, &golden.added);
    assert_eq!(tokenizer.end_of_generation(), golden.ends);
}

#[test]
fn every_rule_cuts_as_llama_cpp_does() {
    let base: Golden = golden("text_bpe");
    let strings = strings();
    let mut rules: HashMap<String, Variant<Vec<u32>>> = golden("text_rules_a");
    rules.extend(golden::<HashMap<_, _>>("text_rules_b"));
    assert_eq!(rules.len(), 15);
    let mut wrong = Vec::new();
    for (name, rule) in &rules {
        assert!(!rule.rows.is_empty(), "{name} is told apart by no string");
        let tokenizer = Tokenizer::new(bpe_data(&base.vocabulary, name)).unwrap();
        let expected = |i: usize| rule.rows.get(&i).unwrap_or(&base.rows[i][0]);
        let rows = strings.iter().enumerate().map(|(i, s)| (s.as_str(), false, &expected(i)[..]));
        wrong.extend(mismatches(&tokenizer, rows).iter().map(|w| format!("{name}: {w}")));
        check_added(name, &tokenizer, &rule.added);
        assert_eq!(tokenizer.end_of_generation(), rule.ends, "{name}");
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn spm_gives_the_ids_of_llama_cpp() {
    let golden: Golden = golden("text_spm");
    let tokenizer = Tokenizer::new(spm_data(&golden.vocabulary)).unwrap();
    check_rows("spm", &tokenizer, &golden.rows);
    check_added("spm", &tokenizer, &golden.added);
    assert_eq!(tokenizer.end_of_generation(), golden.ends);
}

#[test]
fn spm_variants_give_the_ids_of_llama_cpp() {
    let base: Golden = golden("text_spm");
    let variants: HashMap<String, Variant<Vec<Vec<u32>>>> = golden("text_spm_variants");
    for (name, variant) in &variants {
        let mut data = spm_data(&base.vocabulary);
        match name.as_str() {
            "no_prefix" => {
                data.add_space_prefix = Some(false);
                data.add_eos = Some(true);
                data.add_bos = Some(false);
            }
            "phi3" => data.name = Some("Phi-3 tiny".into()),
            other => panic!("no case for {other}"),
        }
        let tokenizer = Tokenizer::new(data).unwrap();
        let mut rows = base.rows.clone();
        for (&i, row) in &variant.rows {
            rows[i].clone_from(row);
        }
        assert!(!variant.rows.is_empty());
        check_rows(name, &tokenizer, &rows);
        check_added(name, &tokenizer, &variant.added);
        assert_eq!(tokenizer.end_of_generation(), variant.ends, "{name}");
    }
}

#[test]
fn ends_of_generation_and_kinds_are_deduced_as_llama_cpp_does() {
    #[derive(Deserialize)]
    struct Ends {
        tokens: Vec<String>,
        token_types: Vec<i32>,
        text: String,
        ends: Vec<u32>,
        plain: Vec<u32>,
        parsed: Vec<u32>,
    }
    let lists: HashMap<String, Ends> = golden("text_ends");
    assert_eq!(lists.len(), 7);
    for (name, list) in lists {
        let (tokens, token_types) = (list.tokens, list.token_types);
        let vocabulary = Vocabulary {
            tokens,
            token_types,
            merges: Some(vec!["a b".into()]),
            scores: None,
            bos: 0,
            eos: 1,
        };
        let tokenizer = Tokenizer::new(bpe_data(&vocabulary, "gpt-2")).unwrap();
        assert_eq!(tokenizer.end_of_generation(), list.ends, "{name}");
        assert_eq!(tokenizer.encode(&list.text, false, false).unwrap(), list.plain, "{name}");
        assert_eq!(tokenizer.encode(&list.text, false, true).unwrap(), list.parsed, "{name}");
    }
}

/// Characters of the strings for whose UTF-8 the tiny BPE vocabulary has tokens.
fn has_all_bytes(text: &str) -> bool {
    let missing = [0x04, 0x06, 0x13, 0x14, 0x16, 0x1d, 0xf1, 0xf2];
    !text.bytes().any(|b| missing.contains(&b))
}

fn stream(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = tokenizer.stream();
    let mut text = String::new();
    for &id in ids {
        text.push_str(&stream.push(id).unwrap().unwrap_or_default());
    }
    text + &stream.finish().unwrap_or_default()
}

#[test]
fn text_comes_back_whole_and_in_pieces() {
    let bpe: Golden = golden("text_bpe");
    let spm: Golden = golden("text_spm");
    let bpe = Tokenizer::new(bpe_data(&bpe.vocabulary, "gpt-2")).unwrap();
    let mut no_prefix = spm_data(&spm.vocabulary);
    no_prefix.add_space_prefix = Some(false);
    let no_prefix = Tokenizer::new(no_prefix).unwrap();
    let spm = Tokenizer::new(spm_data(&spm.vocabulary)).unwrap();
    for text in strings() {
        let ids = bpe.encode(&text, false, false).unwrap();
        if has_all_bytes(&text) {
            assert_eq!(bpe.decode(&ids, false).unwrap(), text);
            assert_eq!(stream(&bpe, &ids), text);
            let bytes: Vec<u8> = ids.iter().flat_map(|&i| bpe.token_bytes(i).unwrap()).collect();
            assert_eq!(bytes, text.as_bytes());
            let ids = bpe.encode(&text, false, true).unwrap();
            assert_eq!(bpe.decode(&ids, true).unwrap(), text);
        }
        // SentencePiece cannot tell U+2581 from a space, nor where a prefix was added in the middle.
        let ids = no_prefix.encode(&text, false, true).unwrap();
        assert_eq!(no_prefix.decode(&ids, true).unwrap(), text.replace('\u{2581}', " "));
        if ["<tool>", "[[a", "a]]b", "\u{2581}"].iter().all(|s| !text.contains(s)) {
            let ids = spm.encode(&text, false, false).unwrap();
            assert_eq!(spm.decode(&ids, true).unwrap(), text);
        }
    }
}

#[test]
fn a_stream_waits_for_whole_characters() {
    let golden: Golden = golden("text_spm");
    let spm = Tokenizer::new(spm_data(&golden.vocabulary)).unwrap();
    let byte = |b: u8| 3 + u32::from(b);
    let mut stream = spm.stream();
    // U+1F600 in four tokens, with a control token between.
    assert_eq!(stream.push(byte(0xf0)).unwrap(), None);
    assert_eq!(stream.push(byte(0x9f)).unwrap(), None);
    assert_eq!(stream.push(2).unwrap(), None);
    assert_eq!(stream.push(byte(0x98)).unwrap(), None);
    assert_eq!(stream.push(byte(0x80)).unwrap().as_deref(), Some("\u{1f600}"));
    // A byte that begins nothing is replaced at once, one that is cut off by the next character.
    assert_eq!(stream.push(byte(0xff)).unwrap().as_deref(), Some("\u{fffd}"));
    assert_eq!(stream.push(byte(0xc3)).unwrap(), None);
    assert_eq!(stream.push(byte(b'a')).unwrap().as_deref(), Some("\u{fffd}a"));
    assert_eq!(stream.push(byte(0xe2)).unwrap(), None);
    assert!(matches!(stream.push(1 << 30), Err(Error::Token { id: 0x4000_0000, .. })));
    assert_eq!(stream.finish().as_deref(), Some("\u{fffd}"));
    assert!(matches!(spm.decode(&[u32::MAX], true), Err(Error::Token { .. })));
}

#[test]
fn a_chat_prompt_begins_with_one_bos() {
    let golden: Golden = golden("text_spm");
    let spm = Tokenizer::new(spm_data(&golden.vocabulary)).unwrap();
    let bos = golden.vocabulary.bos;
    for prompt in ["<s> [INST] Hi", "[INST] Hi"] {
        let ids = spm.encode_chat(prompt).unwrap();
        assert_eq!(ids.iter().filter(|&&id| id == bos).count(), 1, "{ids:?}");
        assert_eq!(ids[0], bos);
    }
}

/// Breaks the data of a good tokenizer and says which key the error must name.
type Break = (&'static str, fn(&mut TokenizerData));

#[test]
fn what_is_wrong_is_named() {
    let bpe: Golden = golden("text_bpe");
    let spm: Golden = golden("text_spm");
    let bpe = bpe_data(&bpe.vocabulary, "gpt-2");
    let spm = spm_data(&spm.vocabulary);
    let both: &[Break] = &[
        ("tokenizer.ggml.model", |d| d.model.clear()),
        ("tokenizer.ggml.model", |d| d.model = "bert".into()),
        ("tokenizer.ggml.tokens", |d| d.tokens.clear()),
        ("tokenizer.ggml.tokens", |d| d.tokens[9] = d.tokens[8].clone()),
        ("tokenizer.ggml.token_type", |d| drop(d.tokens.pop())),
        ("tokenizer.ggml.token_type", |d| d.token_types = Some(vec![])),
        ("tokenizer.ggml.scores", |d| d.scores = Some(vec![0.0; 3])),
        ("tokenizer.ggml.scores", |d| d.scores = Some(vec![f32::NAN; d.tokens.len()])),
        ("tokenizer.ggml.bos_token_id", |d| d.bos = Some(1 << 20)),
        ("tokenizer.ggml.eos_token_id", |d| d.eos = Some(u32::MAX)),
        ("tokenizer.ggml.eot_token_id", |d| d.eot = Some(1 << 20)),
        ("tokenizer.ggml.eom_token_id", |d| d.eom = Some(1 << 20)),
        ("tokenizer.ggml.fim_sep_token_id", |d| d.fim[5] = Some(1 << 20)),
    ];
    let only_bpe: &[Break] = &[
        ("tokenizer.ggml.pre", |d| d.pre = Some("klingon".into())),
        ("tokenizer.ggml.merges", |d| d.merges = None),
        ("tokenizer.ggml.merges", |d| d.merges = Some(vec!["ab".into()])),
        ("tokenizer.ggml.merges", |d| d.merges = Some(vec![String::new()])),
        ("tokenizer.ggml.merges", |d| d.merges = Some(vec![" a".into()])),
        ("tokenizer.ggml.merges", |d| d.merges = Some(vec!["a nowhere".into()])),
        ("tokenizer.ggml.merges", |d| d.merges = Some(vec!["Q Q".into()])),
    ];
    let only_spm: &[Break] = &[
        ("tokenizer.ggml.scores", |d| d.scores = None),
        ("tokenizer.ggml.token_type", |d| d.token_types.as_mut().unwrap()[0] = 6),
    ];
    let cases = both.iter().flat_map(|b| [(&bpe, b), (&spm, b)]);
    let cases = cases.chain(only_bpe.iter().map(|b| (&bpe, b)));
    for (good, (key, damage)) in cases.chain(only_spm.iter().map(|b| (&spm, b))) {
        let mut data = good.clone();
        damage(&mut data);
        match Tokenizer::new(data) {
            Err(Error::Config { key: named, .. }) => assert_eq!(&named, key),
            Err(other) => panic!("{key}: {other}"),
            Ok(_) => panic!("{key}: accepted"),
        }
    }
    let mut data = bpe.clone();
    (data.add_bos, data.bos, data.tokens) = (Some(true), None, data.tokens[..5].to_vec());
    (data.token_types, data.merges, data.eos) = (None, Some(vec![]), None);
    let error = Tokenizer::new(data).unwrap_err().to_string();
    assert!(error.contains("bos_token_id"), "{error}");
}

#[test]
fn a_text_that_spm_cannot_spell_is_an_error() {
    let data = TokenizerData {
        model: "llama".into(),
        tokens: ["<unk>", "<s>", "</s>", "a"].map(String::from).to_vec(),
        scores: Some(vec![0.0; 4]),
        add_space_prefix: Some(false),
        ..TokenizerData::default()
    };
    let tokenizer = Tokenizer::new(data).unwrap();
    assert_eq!(tokenizer.encode("aa", true, false).unwrap(), [1, 3, 3]);
    let error = tokenizer.encode("ab", true, false).unwrap_err();
    assert!(matches!(&error, Error::Tokenizer(what) if what.contains("0x62")), "{error}");
}

/// A quarter of a megabyte of one kind of character: no regular expression may backtrack over it.
#[test]
fn long_runs_take_linear_time() {
    let bpe: Golden = golden("text_bpe");
    let spm: Golden = golden("text_spm");
    let mut tokenizers = vec![Tokenizer::new(spm_data(&spm.vocabulary)).unwrap()];
    for pre in ["gpt-2", "llama-bpe", "deepseek-coder", "gpt-4o", "default"] {
        tokenizers.push(Tokenizer::new(bpe_data(&bpe.vocabulary, pre)).unwrap());
    }
    let start = std::time::Instant::now();
    for run in [" ", "\n", "a", "7", "'", "\u{e9}", "\u{4e2d}", " \n", "\u{301}"] {
        let text = run.repeat((1 << 18) / run.len()) + "x";
        for tokenizer in &tokenizers {
            let ids = tokenizer.encode(&text, false, true).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        }
    }
    // 14 MB of text: 10 s on a loaded core. Quadratic time would take hours.
    assert!(start.elapsed().as_secs() < 300, "{:?}", start.elapsed());
}

#[derive(Deserialize)]
struct Chat {
    bos: String,
    eos: String,
    templates: HashMap<String, String>,
    conversations: Vec<Vec<(String, String)>>,
    cases: Vec<(String, usize, bool, Rendered)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rendered {
    Text(String),
    Failure { error: String },
}

#[test]
fn chat_templates_render_as_jinja2_does() {
    let chat: Chat = golden("text_chat");
    assert!(chat.cases.len() > 250 && chat.templates.len() > 12);
    let mut wrong = Vec::new();
    for (name, conversation, add_generation_prompt, expected) in &chat.cases {
        let turns = &chat.conversations[*conversation];
        let messages: Vec<_> = turns.iter().map(|(r, c)| Message::new(r, c)).collect();
        let rendered = ChatTemplate::new(&chat.templates[name], &chat.bos, &chat.eos)
            .and_then(|t| t.render(&messages, *add_generation_prompt));
        if turns.is_empty() {
            assert!(rendered.is_err(), "{name}");
            continue;
        }
        let case = format!("{name}, conversation {conversation}, {add_generation_prompt}");
        match (rendered, expected) {
            (Ok(text), Rendered::Text(expected)) if text == *expected => {}
            (Err(Error::Template(e)), Rendered::Failure { error }) => {
                // What the template itself says must reach the user.
                let says_so = ["no: ", "Conversation roles"].iter().any(|s| error.starts_with(s));
                assert!(!says_so || e.to_string().contains(error), "{case}: {e}, not {error}");
            }
            (Ok(text), Rendered::Text(expected)) => {
                wrong.push(format!("{case}:\n  {text:?}\n  {expected:?}"));
            }
            (Ok(text), Rendered::Failure { error }) => {
                wrong.push(format!("{case}: {text:?}, but Jinja2 fails: {error}"));
            }
            (Err(e), _) => wrong.push(format!("{case}: {e:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let source = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let template = ChatTemplate::new(source, "", "").unwrap();
    assert!(matches!(template.render(&[Message::user("")], true), Err(Error::Template(_))));
}

#[test]
fn a_panic_of_the_engine_is_an_error() {
    let template = ChatTemplate::new("{{ messages[0].content[::-1] }}", "", "").unwrap();
    assert_eq!(template.render(&[Message::user("abc")], true).unwrap(), "cba");
    assert!(matches!(template.render(&[Message::user("")], true), Err(Error::Template(_))));
}

#[test]
fn dates_are_formatted() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", "", "").unwrap();
    let date = template.render(&[Message::user("")], true).unwrap();
    let [day, month, year] = date.split(' ').collect::<Vec<_>>()[..] else { panic!("{date}") };
    assert!(day.len() == 2 && month.len() == 3 && year.parse::<u32>().unwrap() >= 2024, "{date}");
    let template = ChatTemplate::new("{{ strftime_now('%!') }}", "", "").unwrap();
    assert!(matches!(template.render(&[Message::user("")], true), Err(Error::Template(_))));
}

/// Without bounds each of these ended the program: it ran out of stack or asked for all memory.
#[test]
fn a_template_cannot_exhaust_stack_or_memory() {
    let chain = |link: &str| format!("{{{{ 1{} }}}}", link.repeat(30_000));
    let deep = "{% set ns = namespace(s=[]) %}{% for i in range(100000) %}\
                {% set ns.s = [ns.s] %}{% endfor %}done";
    for (source, expected) in [(chain("+1"), "30001"), (chain("|e"), "1"), (deep.into(), "done")] {
        let template = ChatTemplate::new(&source, "", "").unwrap();
        assert_eq!(template.render(&[Message::user("a")], true).unwrap(), expected);
    }
    let padded = "{{ '%5.1f|%s of 2024'|format(2.5, 1234) }}{{ '{:>4}'.format(7) }}";
    let template = ChatTemplate::new(padded, "", "").unwrap();
    assert_eq!(template.render(&[Message::user("a")], true).unwrap(), "  2.5|1234 of 2024   7");
    let text = "{% for i in range(1000) %}{{ 'a' * 100000 }}{% endfor %}";
    for (source, problem) in [
        ("{{ 'a\nb'|indent(1000000000000) }}", "a width of 1000000000000"),
        ("{{ 'a\nb'|indent(width=1000000000000) }}", "a width of 1000000000000"),
        ("{{ messages|tojson(indent=1000000000000) }}", "a width of 1000000000000"),
        ("{{ [1]|batch(1000000000000, 0)|list }}", "batch is unknown"),
        ("{{ [1]|slice(1000000000000)|list }}", "slice is unknown"),
        ("{{ '%1000000000000d'|format(3) }}", "a width of 1000000000000"),
        ("{{ '%*d'|format(1000000000000, 3) }}", "a width of 1000000000000"),
        ("{{ '%.99999999999999999999f'|format(3) }}", "a width of 18446744073709551615"),
        ("{{ '{:>1000000000000}'.format(3) }}", "a width of 1000000000000"),
        (text, "write"),
    ] {
        let template = ChatTemplate::new(source, "", "").unwrap();
        let error = template.render(&[Message::user("a")], true).unwrap_err();
        let Error::Template(inner) = &error else { panic!("{error}") };
        assert!(format!("{inner:#}").contains(problem), "{inner:#}");
    }
    let error = ChatTemplate::new(&chain("+1").repeat(3), "", "").unwrap_err().to_string();
    assert!(error.contains("180021 bytes are too long"), "{error}");
}
