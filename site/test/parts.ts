/** What the ranking test needs of the page. */
export { rank } from '../src/search/rank.js';
export { WordIndex } from '../src/search/word-index.js';
export { meaning, parse } from '../src/search/words.js';
