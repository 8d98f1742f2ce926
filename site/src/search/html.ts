/** The visible text of HTML. Nothing in it is executed or fetched. */

import { selectAll } from 'css-select';
import { isTag, isText, type AnyNode, type ChildNode, type Document, type Element } from 'domhandler';
import { all, attribute, parseHtml, textOf } from './markup.js';
import { headings, type Place } from './place.js';

const set = (names: string): Set<string> => new Set(names.split(' '));

/** Elements that stand apart, and those on lines of their own. */
const BLOCKS = set('address article aside blockquote body dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html legend main nav ol p pre section summary table textarea ul');
const LINES = set('li option tr');
const GONE = set('script style noscript template svg iframe object audio video canvas datalist input title');
const UNSEEN = /(?:^|[;{\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:opacity|font-size)\s*:\s*0(?:\.0*)?(?:px|em|rem|%)?\s*(?:[;!}]|$))/i;
/** Marks a heading while white space is put in order; texts do not have it. */
const MARK = '\ue0f1';

/** The text of a page with an empty line between blocks, and its headings. */
export function readHtml(html: string, xhtml = /^\s*<\?xml/i.test(html)): { text: string; places: Place[] } {
  const page = parseHtml(html.replaceAll(MARK, ''), xhtml);
  const unseen = unseenOf(page);
  const parts: string[] = [];
  /** Line ends before what comes next. */
  let ends = 0;
  const put = (data: string): void => {
    if (ends > 0) parts.push('\n'.repeat(Math.min(2, ends)));
    ends = 0;
    parts.push(data);
  };
  const write = (node: ChildNode, pre: boolean, titled: boolean): void => {
    if (isText(node)) {
      const data = pre ? node.data : node.data.replace(/\s+/g, ' ');
      if (data !== ' ') put(data);
      else if (ends === 0) parts.push(data);
      return;
    }
    if (!isTag(node)) return;
    const { name, attribs } = node;
    if (name === 'br') ends++;
    if (GONE.has(name) || 'hidden' in attribs || (name === 'dialog' && !('open' in attribs)) || unseen.has(node) || UNSEEN.test(attribute(node, 'style'))) return;
    const apart = BLOCKS.has(name) ? 2 : LINES.has(name) ? 1 : 0;
    // A heading within another is a part of it.
    const heading = !titled && /^h[1-6]$/.test(name) && textOf(node).trim() !== '';
    ends = Math.max(ends, apart);
    if (heading) put(MARK + name[1]!);
    for (const child of node.children) write(child, pre || name === 'pre' || name === 'textarea', titled || heading);
    if (heading) parts.push(MARK);
    ends = Math.max(ends, apart);
    if ((name === 'td' || name === 'th') && ends === 0) parts.push(' ');
  };
  for (const child of page.children) write(child, false, false);
  const body = parts.join('').replace(/[^\S\n]+/g, ' ').replace(/ ?\n ?/g, '\n').replace(/\n{3,}/g, '\n\n').trim();
  let text = '';
  const found: { at: number; level: number; text: string }[] = [];
  // Every second part is a heading, behind the digit of its level.
  for (const [i, part] of body.split(MARK).entries()) {
    if (i % 2 === 0) text += part;
    else {
      const heading = part.slice(1).trim();
      found.push({ at: text.length, level: Number(part[0]), text: heading.replace(/\s+/g, ' ') });
      text += heading;
    }
  }
  const title = titleOf(page);
  const lead = title === '' || text.startsWith(title) ? '' : text === '' ? title : `${title}\n\n`;
  return { text: lead + text, places: headings(found.map((one) => ({ ...one, at: one.at + lead.length }))) };
}

/** A page's title; drawings have titles of their own. */
function titleOf(page: Document): string {
  const title = all(page, 'title').find(({ parent }) => !parent || !('name' in parent) || /^(head|html|body)$/.test(parent.name));
  return title ? textOf(title).replace(/\s+/g, ' ').trim() : '';
}

/** The elements that the page's style sheets hide on a screen. */
function unseenOf(page: Document): Set<Element> {
  const found = new Set<Element>();
  for (const style of all(page, 'style')) {
    for (const selector of hiding(textOf(style))) {
      try {
        for (const element of selectAll<AnyNode, Element>(selector, page)) if (element.name !== 'html' && element.name !== 'body') found.add(element);
      } catch {
        // A selector that needs a live page.
      }
    }
  }
  return found;
}

/** Selectors of what a style sheet hides. What stands within another rule, such as one for print, is not looked at. */
function hiding(css: string): string[] {
  const selectors: string[] = [];
  let depth = 0;
  let selector = '';
  let own = '';
  for (const [token] of css.matchAll(/\/\*[^]*?(?:\*\/|$)|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'|[{};]|[^{};"'/]+|[^]/g)) {
    if (token.startsWith('/*')) continue;
    if (token === '{') depth++;
    else if (token === '}') {
      depth = Math.max(0, depth - 1);
      if (depth > 0) continue;
      if (selector.trim() !== '' && !selector.trim().startsWith('@') && UNSEEN.test(`{${own}}`)) selectors.push(selector.trim());
      selector = own = '';
    } else if (depth === 0) selector = token === ';' ? '' : selector + token;
    else if (depth === 1) own += token;
  }
  return selectors;
}
