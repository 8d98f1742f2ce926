/** What library.mjs needs of the page. */
export { cut, inOnePass, vectorsOf } from './src/search/cut.js';
export { markdownPlaces, sections } from './src/search/place.js';
