/** Reads HTML and XML where no page is, in a worker: by htmlparser2, with a bound on what lies within each other. */

import { DomHandler, isTag, isText, type ChildNode, type Document, type Element, type ParentNode } from 'domhandler';
import { Parser } from 'htmlparser2';
import { declaredCharset } from './charset.js';

/** Levels of elements within each other: as many as browsers keep of a page. */
const DEEPEST = 512;

/** XML is deeper than any document needs. */
export class TooDeep extends Error {
  override name = 'TooDeep';
}

/** Builds a tree that is no deeper than that. What lies deeper keeps its text, or is refused. */
class Bounded extends DomHandler {
  private depth = 0;

  constructor(private readonly refuse: boolean) {
    super();
  }

  override onopentag(name: string, attributes: Record<string, string>): void {
    if (++this.depth <= DEEPEST) super.onopentag(name, attributes);
    else if (this.refuse) throw new TooDeep();
    else super.ontext('\n');
  }

  override onclosetag(): void {
    if (this.depth-- <= DEEPEST) super.onclosetag();
  }

  // Text is text, however it is written; nothing else is read.
  override oncdatastart(): void {}
  override oncdataend(): void {}
  override oncomment(): void {}
  override oncommentend(): void {}
  override onprocessinginstruction(): void {}
}

/** A page of HTML; as XHTML elements end with a slash, too. */
export function parseHtml(html: string, xhtml: boolean): Document {
  const handler = new Bounded(false);
  new Parser(handler, { recognizeSelfClosing: xhtml }).end(flattened(html));
  return handler.root;
}

/** Elements without an end tag, or with one that may be left out. */
const UNENDED = /^(area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|dt|dd|option|optgroup|rt|rp|tr|td|th|thead|tbody|tfoot|colgroup|html|head|body)$/;

/**
 * Takes tags out of a page that nests deeper than any needs: the parser moves the
 * names of all open elements for each new one, so that 100,000 within each other
 * take it a minute.
 */
function flattened(html: string): string {
  let depth = 0;
  let drawings = 0;
  let deepest = 0;
  const flat = html.replace(/<(\/?)([a-z][^\s/<>]*)([^<>]*)>/gi, (tag, end: string, written: string, rest: string) => {
    const name = written.toLowerCase();
    // Only in drawings and formulas does a slash end an element.
    if (UNENDED.test(name) || (drawings > 0 && rest.endsWith('/'))) return tag;
    if (name === 'svg' || name === 'math') drawings = Math.max(0, drawings + (end === '' ? 1 : -1));
    if (end === '') {
      deepest = Math.max(deepest, ++depth);
      return depth > DEEPEST ? '\n' : tag;
    }
    const beyond = depth > DEEPEST;
    depth = Math.max(0, depth - 1);
    return beyond ? '\n' : tag;
  });
  return deepest > DEEPEST ? flat : html;
}

/**
 * The root of an XML document, undefined where there is none.
 * @throws TooDeep
 */
export function parseXml(xml: string): Element | undefined {
  const handler = new Bounded(true);
  new Parser(handler, { xmlMode: true }).end(xml);
  return handler.root.children.find(isTag);
}

/** Goes through XML without keeping it: sheets have millions of cells. Names come without their prefix. */
export function scanXml(xml: string, each: { open(name: string, attribute: (name: string) => string): void; text(data: string): void; close(name: string): void }): void {
  new Parser(
    {
      onopentag: (name, attributes) => each.open(bare(name), (wanted) => attributeOf(attributes, wanted)),
      ontext: (data) => each.text(data),
      onclosetag: (name) => each.close(bare(name)),
    },
    { xmlMode: true },
  ).end(xml);
}

const bare = (name: string): string => name.slice(name.indexOf(':') + 1);

function attributeOf(attributes: Record<string, string>, name: string, prefixed = false): string {
  for (const key in attributes) if (bare(key) === name && (!prefixed || key !== name)) return attributes[key]!;
  return '';
}

/** An element's name without its prefix, which writers choose as they like. */
export const nameOf = ({ name }: Element): string => bare(name);

/** The value of an attribute, "" if it is missing; `prefixed` leaves out one without a prefix. */
export const attribute = (element: Element, name: string, prefixed = false): string => attributeOf(element.attribs, name, prefixed);

export const elementsOf = (parent: ParentNode): Element[] => parent.children.filter(isTag);

/** All elements below with one of these names, in the order of the document. */
export function all(root: ParentNode, ...names: string[]): Element[] {
  const found: Element[] = [];
  const look = (parent: ParentNode): void => {
    for (const child of parent.children) {
      if (!isTag(child)) continue;
      if (names.includes(bare(child.name))) found.push(child);
      look(child);
    }
  };
  look(root);
  return found;
}

/** The text below a node. */
export function textOf(node: ChildNode | Document): string {
  if (isText(node)) return node.data;
  return 'children' in node ? node.children.map(textOf).join('') : '';
}

/** The bytes of a part of XML as text: UTF-8, or what its mark or its first line says. */
export function decodeXml(bytes: Uint8Array): string {
  const marked = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0x3c && bytes[1] === 0) ? 'utf-16le' : (bytes[0] === 0xfe && bytes[1] === 0xff) || (bytes[0] === 0 && bytes[1] === 0x3c) ? 'utf-16be' : declaredCharset(bytes);
  try {
    return new TextDecoder(marked ?? 'utf-8').decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes); // it names none that there is
  }
}
