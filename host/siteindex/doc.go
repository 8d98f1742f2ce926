// Package siteindex makes the search of a static site: files that the site
// serves beside its pages, and that the custom element m2embed-search reads in
// the browser. No server takes part.
//
// The pages of a built site, HTML and Markdown, are read, cut, embedded and
// indexed as everything else is, by [m2embed/host/document] and
// [m2embed/host/search]; what is in the index then goes into small files, so that
// a query fetches only those with its words and the texts that it shows:
//
//	index.json           what there is; the only file whose name stays
//	rows-HASH.bin        passages of each page, words of each passage
//	words-N-HASH.bin     stems in order, with the places where they stand
//	texts-N-HASH.bin     titles, addresses, headings and texts
//	vectors-HASH.bin     (passages, D) 8-bit integers
//	model-HASH/          the model that embeds queries
//	m2embed-search.js …  the element, where this program has it
//
// Files named .bin are compressed by gzip, except for the vectors.
package siteindex
