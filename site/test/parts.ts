/** What the tests that need no page take of it. */
export { readHtml } from '../src/search/html.js';
export { readDocx, readEpub, readOpenDocument, readXlsx } from '../src/search/office.js';
export { rank } from '../src/search/rank.js';
export { readSubtitles } from '../src/search/subtitles.js';
export { parseJson, parseJsonLines } from '../src/search/table.js';
export { Vectors } from '../src/search/vectors.js';
export { WordIndex } from '../src/search/word-index.js';
export { meaning, parse, stem } from '../src/search/words.js';
