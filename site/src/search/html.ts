/** The visible text of HTML. Nothing in it is executed or fetched. */

import { headings, type Place } from './place.js';

const BLOCKS = 'address,article,aside,blockquote,br,dd,div,dl,dt,figcaption,footer,h1,h2,h3,h4,h5,h6,header,hr,li,main,nav,ol,p,pre,section,table,tr,ul';
const GONE = 'script,style,noscript,template,svg,iframe,object,audio,video,canvas,datalist,dialog:not([open]),input,[hidden],head > :not(title)';
const UNSEEN = /(?:^|[;{\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:opacity|font-size)\s*:\s*0(?:\.0*)?(?:px|em|rem|%)?\s*(?:[;!}]|$))/i;
/** Marks a heading while white space is put in order; texts do not have it. */
const MARK = '\ue0f1';

/** The text of a page with an empty line between blocks, and its headings. */
export function readHtml(html: string): { text: string; places: Place[] } {
  const { rest, styles } = withoutCode(html.replaceAll(MARK, ''));
  // Styles and handlers do nothing here, but would make the page's policy complain.
  const page = new DOMParser().parseFromString(flattened(rest).replace(/<[a-z][^<>]*>/gi, (tag) => tag.replace(/([\s/"'])(style|on[a-z]+)\s*=/gi, '$1data-$2=')), 'text/html');
  for (const element of page.querySelectorAll<HTMLElement>('[data-style]')) if (UNSEEN.test(element.dataset['style']!)) element.remove();
  for (const selector of styles.flatMap(unseen)) {
    try {
      for (const element of page.querySelectorAll(selector)) if (element !== page.documentElement && element !== page.body) element.remove();
    } catch {
      // A selector that needs a live page.
    }
  }
  for (const hidden of page.querySelectorAll(GONE)) hidden.remove();
  for (const block of page.querySelectorAll(BLOCKS)) {
    const gap = block.tagName === 'BR' || block.tagName === 'TR' || block.tagName === 'LI' ? '\n' : '\n\n';
    if (/^H[1-6]$/.test(block.tagName) && block.textContent.trim() !== '') {
      block.prepend(MARK + block.tagName[1]!);
      block.append(MARK);
    }
    block.before(gap);
    block.after(gap);
  }
  for (const cell of page.querySelectorAll('td,th')) cell.after(' ');
  const title = page.title.replace(/\s+/g, ' ').trim();
  const body = (page.body?.textContent ?? '').replace(/[^\S\n]+/g, ' ').replace(/ ?\n ?/g, '\n').replace(/\n{3,}/g, '\n\n').trim();
  const parts = body.split(MARK);
  let text = '';
  const found: { at: number; level: number; text: string }[] = [];
  // Every second part is a heading, behind the digit of its level.
  for (const [i, part] of parts.entries()) {
    if (i % 2 === 0) text += part;
    else {
      const heading = part.slice(1).trim();
      found.push({ at: text.length, level: Number(part[0]), text: heading.replace(/\s+/g, ' ') });
      text += heading;
    }
  }
  const lead = title !== '' && !text.startsWith(title) ? `${title}\n\n` : '';
  return { text: lead + text, places: headings(found.map((one) => ({ ...one, at: one.at + lead.length }))) };
}

/** Levels of elements within each other that are read as such: browsers keep some 500, and take longer with each. */
const DEEPEST = 256;
/** Elements without an end tag, or with one that may be left out. */
const UNENDED = /^(area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|dt|dd|option|optgroup|rt|rp|tr|td|th|thead|tbody|tfoot|colgroup|html|head|body)$/;

/**
 * Takes the tags of elements out that lie deeper than any page needs: for each
 * element a parser looks through all that are open, so that 100,000 within each
 * other take it minutes. Their text stays.
 */
function flattened(html: string): string {
  let depth = 0;
  let drawings = 0;
  return html.replace(/<(\/?)([a-z][^\s/<>]*)([^<>]*)>/gi, (tag, end: string, written: string, rest: string) => {
    const name = written.toLowerCase();
    // Only in drawings and formulas does a slash end an element.
    if (UNENDED.test(name) || (drawings > 0 && rest.endsWith('/'))) return tag;
    if (name === 'svg' || name === 'math') drawings = Math.max(0, drawings + (end === '' ? 1 : -1));
    if (end === '') return ++depth > DEEPEST ? '\n' : tag;
    const beyond = depth > DEEPEST;
    depth = Math.max(0, depth - 1);
    return beyond ? '\n' : tag;
  });
}

/** Takes the elements of scripts and styles out. */
function withoutCode(html: string): { rest: string; styles: string[] } {
  const lower = html.toLowerCase();
  const styles: string[] = [];
  let rest = '';
  let at = 0;
  const start = /<(style|script)\b/g;
  for (let found = start.exec(lower); found; found = start.exec(lower)) {
    const begin = lower.indexOf('>', found.index);
    const end = begin < 0 ? -1 : lower.indexOf(`</${found[1]}`, begin);
    if (end < 0) break;
    rest += html.slice(at, found.index);
    if (found[1] === 'style') styles.push(html.slice(begin + 1, end));
    const after = lower.indexOf('>', end);
    at = start.lastIndex = after < 0 ? html.length : after + 1;
  }
  return { rest: rest + html.slice(at), styles };
}

/** Selectors of what a style sheet hides on a screen. */
function unseen(css: string): string[] {
  const sheet = new CSSStyleSheet();
  try {
    sheet.replaceSync(css);
  } catch {
    return [];
  }
  return [...sheet.cssRules].filter((rule): rule is CSSStyleRule => rule instanceof CSSStyleRule && UNSEEN.test(`{${rule.style.cssText}}`)).map(({ selectorText }) => selectorText);
}

/** The encoding that a page names in its first bytes. */
export function declaredCharset(bytes: Uint8Array): string | undefined {
  return /(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)/i.exec(new TextDecoder('latin1').decode(bytes.subarray(0, 1024)))?.[1];
}
