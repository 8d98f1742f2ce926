/**
 * Writes a small site of the page's own public-domain texts, as a generator of
 * sites would: a page for each chapter and recipe, a navigation on each of them.
 * node demo.mjs FOLDER
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BOOKS = { 'the-time-machine': 'The Time Machine', 'treasure-island': 'Treasure Island', recipes: 'Recipes' };
const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const slug = (text) => text.normalize('NFD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');

/** A page of HTML, with what a site has around its text. */
export function html(title, body, { head = '', up = '../' } = {}) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${escape(title)} | The little library</title><link rel="stylesheet" href="${up}site.css">${head}</head>
<body><header><a href="${up}">The little library</a><nav><a href="${up}the-time-machine/">The Time Machine</a> <a href="${up}treasure-island/">Treasure Island</a> <a href="${up}recipes/">Recipes</a></nav></header>
<main>${body}</main>
<footer>Public-domain texts, set for the test of a search.</footer></body></html>
`;
}

/** Writes the site and returns the titles of its pages by address. */
export function writeSite(folder) {
  const pages = new Map();
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/site.css`, 'body { background: light-dark(#fff, #121416); color: light-dark(#222, #ddd); }\na { color: light-dark(#14615c, #7fd4c9); }\n');
  const put = (path, title, body, options) => {
    mkdirSync(`${folder}/${path.replace(/[^/]*$/, '')}`, { recursive: true });
    writeFileSync(`${folder}/${path}`, html(title, body, options));
    pages.set(path.replace(/index\.html$/, ''), title);
  };
  for (const [name, book] of Object.entries(BOOKS)) {
    const [, ...chapters] = readFileSync(fileURLToPath(new URL(`library/${name}.md`, import.meta.url)), 'utf8').split(/^## /m);
    const links = [];
    for (const chapter of chapters) {
      const [heading, ...rest] = chapter.split('\n');
      const title = name === 'recipes' ? heading.trim() : `${book}, ${heading.trim()}`;
      const path = `${name}/${slug(heading)}.html`;
      const paragraphs = rest.join('\n').split(/\n\s*\n/).map((one) => one.trim()).filter((one) => one !== '');
      put(path, title, `<h1 id="top">${escape(title)}</h1>\n${paragraphs.map((one) => `<p>${escape(one)}</p>`).join('\n')}`);
      links.push(`<li><a href="${path.split('/')[1]}">${escape(title)}</a></li>`);
    }
    put(`${name}/index.html`, book, `<h1>${book}</h1><ul data-search-ignore data-pagefind-ignore>${links.join('')}</ul><p>All parts of ${book}.</p>`);
  }
  put('index.html', 'The little library', '<h1>The little library</h1><p>Two novels and a cook book.</p>', { up: './' });
  return pages;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const pages = writeSite(process.argv[2] ?? 'demo');
  console.log(`${pages.size} pages`);
}
