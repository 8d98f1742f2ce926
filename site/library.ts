/** What library.mjs needs of the page. */
export { cut, inOnePass, vectorsOf } from './src/search/cut.js';
export { headingAt, markdownPlaces, sections, titleOf } from './src/search/place.js';
export { WordIndex } from './src/search/word-index.js';
