/** Markdown to safe HTML, block by block, so that a growing answer repaints only its end. */
import DOMPurify from 'dompurify';
import { Marked, type Tokens } from 'marked';
import { highlight } from './highlight';

const marked = new Marked({ gfm: true, breaks: true });
marked.use({
  renderer: {
    code({ text, lang }: Tokens.Code) {
      const name = (lang ?? '').split(/\s/)[0] ?? '';
      const shown = name ? escape(name) : 'code';
      return `<figure class="code"><figcaption>${shown}</figcaption><pre tabindex="0" role="region" aria-label="${shown}"><code>${highlight(text, name)}</code></pre></figure>`;
    },
    // A picture would be fetched from wherever the model's text says.
    image({ href, text }: Tokens.Image) {
      return `<a href="${escape(href)}">${escape(text || href)}</a>`;
    },
  },
});

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

const ALLOWED = {
  ALLOWED_TAGS: [
    'a', 'b', 'blockquote', 'br', 'code', 'del', 'em', 'figcaption', 'figure', 'h1', 'h2', 'h3', 'h4',
    'h5', 'h6', 'hr', 'i', 'li', 'ol', 'p', 'pre', 'span', 'strong', 'sub', 'sup', 'table', 'tbody',
    'td', 'th', 'thead', 'tr', 'ul',
  ],
  ALLOWED_ATTR: ['href', 'class', 'start', 'align', 'tabindex', 'role', 'aria-label'],
};

function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (c) => entities[c] ?? c);
}

/** The top-level blocks of a text. All but the last stay as they are when the text grows. */
export function blocks(text: string): string[] {
  return marked.lexer(text).map((token) => token.raw).filter((raw) => raw.trim());
}

/** Safe HTML of a block. */
export function html(block: string): string {
  return DOMPurify.sanitize(marked.parse(block, { async: false }), ALLOWED);
}
