/** HTML, Office documents and subtitles without a page: what is seen, what is hidden, what lies too deep, what is long. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strToU8, zipSync } from 'fflate';
import { readDocx, readEpub, readHtml, readOpenDocument, readSubtitles, readXlsx } from './parts.mjs';

const zip = (parts) => zipSync(Object.fromEntries(Object.entries(parts).map(([path, content]) => [path, typeof content === 'string' ? strToU8(content) : content])));

test('of HTML what is seen is read', () => {
  for (const [name, html, text] of [
    ['nothing', '', ''],
    ['no tags', 'Soup & bread', 'Soup & bread'],
    ['entities', '&lt;b&gt; caf&eacute; &#128512; &amp;amp; &nosuch; A&B', '<b> café 😀 &amp; &nosuch; A&B'],
    ['lines that only wrap', '<p>A long\n  sentence\n\n that wraps.</p><pre>two\n  lines</pre>', 'A long sentence that wraps.\n\ntwo\nlines'],
    ['unclosed', '<title>T<p>One<p>Two<ul><li>a<li>b', 'T<p>One<p>Two<ul><li>a<li>b'],
    ['paragraphs and items without ends', '<p>One<p>Two<ul><li>a<li>b</ul>c<br>d', 'One\n\nTwo\n\na\nb\n\nc\nd'],
    ['a head without an end', '<html><head><title>Tea</title><meta charset=utf-8><p>Text.', 'Tea\n\nText.'],
    ['a title of a drawing', '<svg><title>Drawing</title></svg><p>Text.', 'Text.'],
    ['scripts', 'a<script>if (1 < 2) document.write("<p>no</p>")</script>b<noscript>no</noscript><template>no</template>', 'ab'],
    ['a script without an end', '<p>Text.</p><script>var no = 1;', 'Text.'],
    ['attributes that hide', '<p hidden>no</p><div style="DISPLAY : none !important">no</div><dialog>no</dialog><dialog open>yes</dialog><input value=no>', 'yes'],
    ['sheets that hide', '<style>/* p { display:none } */ .a, #b > i { display: none } @media print { .c { display: none } } .d::before { content: "}{"; color: red } q{visibility:hidden}</style><p class=a>no</p><p id=b><i>no</i>one</p><p class=c>two</p><p class=d>three</p><q>no</q>', 'one\n\ntwo\n\nthree'],
    ['a sheet that is none', '<style>}}{ x{display:none} :nosuch(1) { display: none } .a{display:none</style><p class=a>yes</p>', 'yes'],
    ['cells', '<table><tr><td>a</td><td>b</td></tr><tr><th>c<td>d</table>', 'a b\nc d'],
    ['odd tags', '<p <b>x</b></p><//><!-- no --><!doctype html><?php no ?><a href="<p>">y</a>z<', 'x\n\nyz<'],
    ['private marks', '\ue0f1<h1>A</h1>', 'A'],
  ]) {
    assert.equal(readHtml(html).text, text, name);
  }
  const { text, places } = readHtml('<title>Book</title><h1>One <div><h3>within</h3></div></h1><p>x</p><h2> Two\n lines </h2>y<h2></h2>z');
  assert.deepEqual(places.map(({ at, label }) => [label, text.slice(at, at + 3)]), [['One within', 'One'], ['One within › Two lines', 'Two']]);
  assert.equal(readHtml('<p>a<a id="x"/>b</p><div/>c', true).text, 'ab\n\nc');
});

test('what lies deep keeps its text, or is refused', () => {
  const deep = 5000;
  const within = (tag) => `<p>Before.</p>${`<${tag}>`.repeat(deep)}Deep.${`</${tag}>`.repeat(deep)}<p>Behind.</p>`;
  for (const tag of ['div', 'ul><li', 'table><tr><td', 'h1', 'p']) assert.match(readHtml(within(tag.replaceAll('><', '>\n<'))).text, /^Before\.\s+Deep\.\s+Behind\.$/, tag);
  assert.equal(readHtml(`${'<div/>'.repeat(deep)}Text.`).text, 'Text.');
  const word = (body) => zip({ 'word/document.xml': `<w:document xmlns:w="w"><w:body>${body}</w:body></w:document>` });
  const paragraph = '<w:p><w:r><w:t>Soup.</w:t></w:r></w:p>';
  assert.equal(readDocx(word(`${'<w:sdt>'.repeat(400)}${paragraph}${'</w:sdt>'.repeat(400)}`), 'a.docx').text, 'Soup.');
  assert.throws(() => readDocx(word(`${'<w:sdt>'.repeat(deep)}${paragraph}${'</w:sdt>'.repeat(deep)}`), 'a.docx'), { name: 'TooDeep' });
  const chapter = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>no</title></head><body>${within('div')}</body></html>`;
  const epub = zip({ 'META-INF/container.xml': '<container><rootfiles><rootfile full-path="p.opf"/></rootfiles></container>', 'p.opf': '<package><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>', 'a.xhtml': chapter });
  assert.match(readEpub(epub, 'a.epub').text, /^Before\.\s+Deep\.\s+Behind\.$/);
});

test('parts of Office documents in other encodings, damaged and empty ones', () => {
  const sixteen = (text) => new Uint8Array(Buffer.from(`\ufeff${text}`, 'utf16le'));
  const body = '<?xml version="1.0" encoding="UTF-16"?><w:document xmlns:w="w"><w:body><w:p><w:r><w:t>Café</w:t></w:r></w:p></w:body></w:document>';
  assert.equal(readDocx(zip({ 'word/document.xml': sixteen(body) }), 'a.docx').text, 'Café');
  assert.equal(readDocx(zip({ 'word/document.xml': body.slice(0, -40).replace('UTF-16', 'nonsense') }), 'a.docx').text, 'Café', 'cut at its end');
  for (const content of ['', 'only words', '\0\0\0']) assert.throws(() => readDocx(zip({ 'word/document.xml': content }), 'a.docx'), /a\.docx could not be read as a Word document: its part word\/document\.xml is missing or damaged/);
  assert.equal(readOpenDocument(zip({ 'content.xml': '<o:document xmlns:o="o"><o:body><o:text><t:h xmlns:t="t" t:outline-level="2">A</t:h><t:p xmlns:t="t">b<![CDATA[<c>]]>&#233;&bomb;</t:p></o:text></o:body></o:document>' }), 'a.odt').text, 'A\n\nb<c>é&bomb;');
});

test('sheets: strings, dates, gaps, sentences within cells', () => {
  const file = zip({
    'xl/workbook.xml': '<x:workbook xmlns:x="x" xmlns:r="r"><x:sheets><x:sheet name="A" sheetId="1" r:id="r1"/><x:sheet name="No" state="hidden" r:id="r2"/><x:sheet name="Again" r:id="r1"/></x:sheets></x:workbook>',
    'xl/_rels/workbook.xml.rels': '<Relationships><Relationship Id="r1" Target="sheet.xml"/><Relationship Id="r2" Target="hidden.xml"/></Relationships>',
    'xl/hidden.xml': '<worksheet><row><c><v>1</v></c></row></worksheet>',
    'xl/styles.xml': '<styleSheet><numFmts><numFmt numFmtId="200" formatCode="&quot;d&quot;0"/><numFmt numFmtId="201" formatCode="yyyy"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="200"/><xf numFmtId="201"/></cellXfs></styleSheet>',
    'xl/sharedStrings.xml': '<sst><si><t>Tea &amp; </t><r><t>bread</t></r><rPh><t>reading</t></rPh></si><si/></sst>',
    'xl/sheet.xml': '<worksheet><cols><col/></cols><sheetData><row r="1"><c r="B1" t="s"><v>0</v></c><c r="D1" t="inlineStr"><is><t>in</t><r><t>line</t></r></is></c></row><row><c t="s"><v>9</v></c></row><row r="3"><c r="A3" s="1"><v>45292</v></c><c s="3"><v>45292.5</v></c><c s="2"><v>7</v></c><c t="b"><v>1</v></c><c t="str"><f>A1</f><v>made</v></c><c t="e"><v>#N/A</v></c></row></sheetData></worksheet>',
  });
  assert.deepEqual(readXlsx(file, 'a.xlsx'), [{ name: 'A', rows: [['', 'Tea & bread', '', 'inline'], ['2024-01-01', '2024-01-01 12:00', '7', 'true', 'made', '#N/A']] }]);
});

test('subtitles of a hundred thousand cues take no longer for each', () => {
  const cues = (n) => Array.from({ length: n }, (_, i) => `${i}\n00:00:01,000 --> 00:00:02,000\nSaid number ${i}.\n`).join('\n');
  const time = (n) => {
    const source = cues(n);
    const started = process.cpuUsage().user;
    const { text, places } = readSubtitles(source);
    assert.ok(text.startsWith('Said number 0. Said number 1.') && text.endsWith(`Said number ${n - 1}.`) && places.length > n / 40);
    return (process.cpuUsage().user - started) / 1000; // ms
  };
  time(5000);
  assert.ok(time(100_000) < 40 * Math.max(50, time(10_000)));
});
