import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strToU8, zipSync } from 'fflate';
import { firefox } from '../../wasm/js/test/browsers.mjs';
import { chooseFiles, idle, PATIENCE, ready, says, startServer, visit } from './browser.mjs';
import { pdf } from './files.mjs';

const file = (name, content, mimeType = '') => ({ name, mimeType, buffer: Buffer.from(content) });
const packed = (name, parts, options) => file(name, zipSync(Object.fromEntries(Object.entries(parts).map(([path, text]) => [path, typeof text === 'string' ? strToU8(text) : text])), options));
const openSearch = async (t, options) => {
  const visitor = await visit(t, { path: '#search', ...options });
  await ready(visitor.page);
  return visitor;
};
/** What the library keeps, by name. Runs in the page. */
const readLibrary = () =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open('library', 1);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const all = request.result.transaction('documents').objectStore('documents').getAll();
      all.onsuccess = () => resolve(Object.fromEntries(all.result.map(({ name, text, places, readAs }) => [name, { text, ...(places?.length > 0 && { places: places.map(({ label, at }) => `${label} @ ${text.slice(at, at + 12)}`) }), ...(readAs && { readAs }) }])));
    };
  });
const kept = (page) => page.evaluate(readLibrary);
const documents = (page, n) => page.waitForFunction((many) => document.querySelectorAll('.documents button.danger').length === many, n);

const w = (body) => `<?xml version="1.0"?><w:document xmlns:w="w"><w:body>${body}</w:body></w:document>`;
const relations = (...targets) => `<Relationships>${targets.map((target, i) => `<Relationship Id="r${i + 1}" Target="${target}"/>`).join('')}</Relationships>`;

const docx = packed('letter.docx', {
  'word/styles.xml': '<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>',
  'word/document.xml': w(
    '<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>The har</w:t></w:r><w:r><w:t>bour</w:t></w:r></w:p><w:p><w:r><w:t>Bread &amp; lemons</w:t><w:tab/><w:t>come early.</w:t></w:r><w:del><w:r><w:delText>Deleted.</w:delText></w:r></w:del><w:r><w:rPr><w:vanish/></w:rPr><w:t>Hidden.</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>Monday</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>closed</w:t></w:r></w:p></w:tc></w:tr></w:tbl>',
  ),
  'word/footnotes.xml': '<w:footnotes xmlns:w="w"><w:footnote><w:p><w:r><w:t>Except on Tuesdays.</w:t></w:r></w:p></w:footnote></w:footnotes>',
});
const pptx = packed('talk.pptx', {
  'ppt/presentation.xml': '<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="r2"/><p:sldId id="257" r:id="r1"/><p:sldId id="258" r:id="r1"/></p:sldIdLst></p:presentation>',
  'ppt/_rels/presentation.xml.rels': relations('slides/slide1.xml', 'slides/slide2.xml'),
  'ppt/slides/slide1.xml': '<p:sld xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>Last slide</a:t></a:r></a:p></p:sld>',
  'ppt/slides/slide2.xml': '<p:sld xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>First slide</a:t></a:r></a:p></p:sld>',
  'ppt/slides/_rels/slide2.xml.rels': relations('../notesSlides/notesSlide1.xml'),
  'ppt/notesSlides/notesSlide1.xml': '<p:notes xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>Say hello.</a:t></a:r></a:p><a:p><a:fld><a:t>1</a:t></a:fld></a:p></p:notes>',
});
const xlsx = packed('wells.xlsx', {
  'xl/workbook.xml': '<workbook xmlns:r="r"><sheets><sheet name="Wells" r:id="r1"/><sheet name="Secret" state="hidden" r:id="r2"/></sheets></workbook>',
  'xl/_rels/workbook.xml.rels': relations('worksheets/sheet1.xml', 'worksheets/sheet2.xml'),
  'xl/sharedStrings.xml': '<sst><si><t>note</t></si><si><r><t>The first well </t></r><r><t>is dry this year.</t></r></si></sst>',
  'xl/styles.xml': '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
  'xl/worksheets/sheet1.xml': '<worksheet><sheetData><row><c r="A1" t="inlineStr"><is><t>day</t></is></c><c r="C1" t="s"><v>0</v></c></row><row><c r="A2" s="1"><v>45292</v></c><c r="C2" t="s"><v>1</v></c></row></sheetData></worksheet>',
  'xl/worksheets/sheet2.xml': '<worksheet><row><c><v>7</v></c></row></worksheet>',
});
const odt = packed('novel.odt', {
  mimetype: 'application/vnd.oasis.opendocument.text',
  'content.xml': '<o:document xmlns:o="o" xmlns:t="t"><o:body><o:text><t:h t:outline-level="1">Chapter one</t:h><t:p>It was<t:s t:c="2"/>raining <t:span>on the</t:span> island.</t:p></o:text></o:body></o:document>',
});
const epub = packed('book.epub', {
  'META-INF/container.xml': '<container><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>',
  'OEBPS/content.opf': '<package><manifest><item id="n" href="nav.xhtml" properties="nav"/><item id="b" href="text/two.xhtml"/><item id="a" href="text/one%20a.xhtml"/></manifest><spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/><itemref idref="a"/></spine></package>',
  'OEBPS/nav.xhtml': '<html><body>Contents</body></html>',
  'OEBPS/text/one a.xhtml': '<html><head><title>x</title></head><body><h1>One</h1><p>The lamp <a id="x"/>turns.</p></body></html>',
  'OEBPS/text/two.xhtml': '<html><body><h1>Two</h1><p>Birds nest below.</p></body></html>',
});
const eml = file('note.eml', 'From: Anna <anna@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?Q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nWe meet at the caf=E9 at noon.\r\n');
const srt = file('film.srt', '1\r\n00:00:01,000 --> 00:00:03,500\r\n<i>Where does the water</i>\r\n\r\n2\r\n00:00:03,600 --> 00:00:05,000\r\ncome from?\r\n');
const sloppy = file('sloppy.srt', '1\n0:00:01 --> 0:00:02\nWithout milliseconds.\n');
const vtt = file('film.vtt', 'WEBVTT\n\nNOTE nothing\n\n01:02.000 --> 01:04.000 align:start\n<v Anna>From the roof.</v>\n');
const html = file(
  'page.html',
  '<html><head><title>Gardens</title><style>.off, #no { display: none } p { color: red }</style></head><body onload="alert(1)"><h2>Soil</h2><img src="http://example.com/x.png" onerror="alert(2)"><p>Beans like it warm.</p><script>alert(3)</script><div hidden>gone 1</div><div style="color:red;display:none">gone 2</div><p class=off>gone 3</p><span style="visibility: hidden">gone 4</span><textarea>kept</textarea><iframe src="https://example.com"></iframe></body></html>',
);
const md = file('notes.md', '# Ferry\n\nBefore seven.\n\n## Tuesdays\n\nThe doctor.\n\n```\n# no heading\n```\n');
const late = file('late.txt', `${'hello text '.repeat(900)}\0\0\0\0 end`);

test('documents of every kind are read, with their pages and headings', async (t) => {
  const { page } = await openSearch(t, { errors: [/Refused|blocked/i] });
  const inner = zipSync({ 'docs/a.txt': strToU8('A text in an archive.'), 'letter.docx': docx.buffer, 'picture.png': new Uint8Array([1, 2, 3]), '__MACOSX/._a.txt': strToU8('x') });
  const all = [docx, pptx, odt, epub, eml, srt, sloppy, vtt, html, md, late, file('all.zip', inner), { name: 'pages.pdf', mimeType: '', buffer: pdf(['Nobody has lived there.', 'The lens is clean.']) }];
  await page.setInputFiles('#files', all);
  // The letter within the archive has the same text as the one beside it.
  await documents(page, 13);
  await idle(page);
  await says(page, '#notices', /One file of all\.zip could not be read: picture\.png/);
  const library = await kept(page);
  assert.deepEqual(library['letter.docx'], { text: 'The harbour\n\nBread & lemons\tcome early.\n\nMonday | closed\n\nExcept on Tuesdays.', places: ['The harbour @ The harbour\n', 'footnotes @ Except on Tu'] });
  assert.deepEqual(library['talk.pptx'], { text: 'First slide\nSay hello.\n\nLast slide', places: ['slide 1 @ First slide\n', 'slide 2 @ Last slide'] });
  assert.deepEqual(library['novel.odt'], { text: 'Chapter one\n\nIt was  raining on the island.', places: ['Chapter one @ Chapter one\n'] });
  assert.deepEqual(library['book.epub'], { text: 'One\n\nThe lamp turns.\n\nTwo\n\nBirds nest below.', places: ['One @ One\n\nThe lam', 'Two @ Two\n\nBirds n'] });
  assert.equal(library['note.eml'].text, 'Café\n\nFrom: Anna <anna@example.org>\nTo: bob@example.org\n\nWe meet at the café at noon.');
  assert.deepEqual(library['film.srt'], { text: 'Where does the water come from?', places: ['0:00:01 @ Where does t'] });
  assert.deepEqual(library['sloppy.srt'], { text: 'Without milliseconds.', places: ['0:00:01 @ Without mill'] });
  assert.deepEqual(library['film.vtt'], { text: 'From the roof.', places: ['0:01:02 @ From the roo'] });
  assert.deepEqual(library['page.html'], { text: 'Gardens\n\nSoil\n\nBeans like it warm.\n\nkept', places: ['Soil @ Soil\n\nBeans '] });
  assert.deepEqual(library['notes.md'].places, ['Ferry @ # Ferry\n\nBef', 'Ferry › Tuesdays @ ## Tuesdays\n']);
  assert.deepEqual(library['pages.pdf'], { text: 'Nobody has lived there.\n\nThe lens is clean.', places: ['page 1 @ Nobody has l', 'page 2 @ The lens is '] });
  assert.equal(library['all.zip › docs/a.txt'].text, 'A text in an archive.');
  assert.equal(library['late.txt'].readAs, 'UTF-8 without 4 control characters');
  assert.ok(!library['late.txt'].text.includes('\0'));
});

test('tables ask for header and columns, with a preview', async (t) => {
  const { page } = await openSearch(t);
  const go = '#dialog button.primary';
  const add = async (one, { header, columns, change } = {}) => {
    await page.setInputFiles('#files', [one]);
    await page.waitForSelector('#dialog .preview');
    if (header !== undefined) assert.equal(await page.isChecked('#header'), header, one.name);
    if (columns) assert.deepEqual(await page.$$eval('#dialog [name="column"]', (all) => all.map((box) => `${box.parentElement.textContent.trim()}${box.checked ? ' *' : ''}`)), columns, one.name);
    await change?.();
    const before = await page.$$eval('.documents button.danger', (all) => all.length);
    await page.click(go);
    await documents(page, before + 1);
    await idle(page);
  };
  const cats = 'The cat sleeps on the sofa';
  await add(file('semi.csv', `id;title;text\r\n1;Cat;${cats}\r\n2;Dog;"The dog; barks\nat night"\r\n`), { header: true, columns: ['id', 'title', 'text *'] });
  await add(file('sep.csv', `sep=;\r\nid;text\n1;A table, with commas, in it\n`), { header: true, columns: ['id', 'text *'] });
  await add(file('quoted.csv', `"sep=;"\r\nid;text\r\n1;A quoted sign, with commas, in it\r\n`), { header: true, columns: ['id', 'text *'] });
  await add(file('filled.csv', `SEP=|,,\rid|text\r1|A filled line, with commas, in it\r`), { header: true, columns: ['id', 'text *'] });
  await add(file('pipe.csv', `id|title|text\n1|Cat|${cats} today\n2|Dog|The dog barks, at night\n`), { header: true, columns: ['id', 'title', 'text *'] });
  await add(file('both.csv', 'Oak ; elm,tall,old,green\nAsh ; yew,small,young,dark\nFir ; pine\n'), { change: async () => assert.equal((await page.$$('#dialog [name="column"]')).length, 4) });
  await add(file('bare.csv', 'The stocks fell on Monday\r\nRain is expected tomorrow\r\n'), { header: false, columns: ['column 1 *'] });
  await add(file('urls.csv', `title,description,url\nCat,Sleeps on the sofa,https://example.org/${'a'.repeat(60)}\n`), { header: true, columns: ['title', 'description *', 'url'], change: () => page.check('#dialog [name="column"][value="0"]') });
  await add(file('array.json', JSON.stringify([{ title: 'Login fails', body: { text: 'After the update I cannot sign in.' }, n: 7 }])), { columns: ['title', 'body.text *', 'n'] });
  await add(file('lines.json', '{"id": 1, "text": "Storms cut the cable."}\n{"id": 2, "text": "The radio stands there."}\n'), { columns: ['id', 'text *'] });
  await add(file('tab.tsv', 'name\tnote\nwell\tIt gives less water every year.\n'), { header: true, columns: ['name', 'note *'] });
  await add(xlsx, { header: true, columns: ['day', 'column 2', 'note *'] });
  const library = await kept(page);
  assert.deepEqual(library['semi.csv'], { text: `${cats}\n\nThe dog; barks\nat night`, places: ['row 2 · id: 1 · title: Cat @ The cat slee', 'row 3 · id: 2 · title: Dog @ The dog; bar'] });
  assert.equal(library['sep.csv'].text, 'A table, with commas, in it');
  assert.equal(library['bare.csv'].text, 'The stocks fell on Monday\n\nRain is expected tomorrow');
  assert.deepEqual(library['urls.csv'].text, 'Cat\nSleeps on the sofa');
  assert.deepEqual(library['array.json'], { text: 'After the update I cannot sign in.', places: ['row 1 · title: Login fails · n: 7 @ After the up'] });
  assert.deepEqual(library['wells.xlsx'], { text: 'The first well is dry this year.', places: ['row 2 · day: 2024-01-01 @ The first we'] });
  // The row is shown where it is found.
  await page.fill('#query', 'Sleeps on the sofa');
  await says(page, '#results', /row 2 · url: https/);
});

const SHIFT_JIS = '93fa967b8cea82cc95b68f9182c582b781428da193fa82cd93568b4382aa82a282a28142';
const KOI8 = 'e2d9d3d4d2c1d120cbcfd2c9decec5d7c1d120ccc9d3c120d0d2d9c7c1c5d420dec5d2c5da20ccc5cec9d7d5c020d3cfc2c1cbd5';
const sixteen = 'The café’s naïve coöperation: resume of the meeting.';
const encoded = {
  'sjis.txt': [Buffer.from(SHIFT_JIS, 'hex'), '日本語の文書です。今日は天気がいい。', 'Shift-JIS'],
  'koi8.txt': [Buffer.from(KOI8, 'hex'), 'Быстрая коричневая лиса прыгает через ленивую собаку', 'KOI8-R'],
  'dos.txt': [Buffer.from('81ebe1e2e0a0ef20aaaee0a8e7ada5a2a0ef20aba8e1a020afe0eba3a0a5e2', 'hex'), 'Быстрая коричневая лиса прыгает', 'IBM 866'],
  'little.txt': [Buffer.from(sixteen, 'utf16le'), sixteen, 'UTF-16'],
  'big.txt': [Buffer.from(`${sixteen} One.`, 'utf16le').swap16(), `${sixteen} One.`, 'UTF-16'],
  'marked.txt': [Buffer.from(`\ufeff${sixteen} Two.`, 'utf16le'), `${sixteen} Two.`, 'UTF-16'],
  'chinese.txt': [Buffer.from('今天天气很好，我们去公园散步。', 'utf16le'), '今天天气很好，我们去公园散步。', 'UTF-16'],
  'western.txt': [Buffer.from('Der B\xe4cker \xf6ffnet um sechs \x96 f\xfcr 5 \x80.', 'latin1'), 'Der Bäcker öffnet um sechs – für 5 €.', 'Windows-1252'],
  'polish.html': [Buffer.from('<meta charset="iso-8859-2"><p>Za\xbf\xf3\xb3\xe6 g\xea\xb6l\xb1', 'latin1'), 'Zażółć gęślą', 'ISO-8859-2'],
  'plain.txt': [Buffer.from('Ünïcode 漢字'), 'Ünïcode 漢字', undefined],
};
/** The upper half of code pages that Node does not write. */
const MAC = { é: 0x8e, è: 0x8f, ê: 0x90, ç: 0x8d, à: 0x88, '’': 0xd5, œ: 0xcf };
const DOS = { ü: 0x81, ä: 0x84, ö: 0x94, ß: 0xe1 };
const paged = (text, page) => Buffer.from([...text].map((letter) => page[letter] ?? letter.charCodeAt(0)));
const utf32 = (text, big = false) => Buffer.concat([...text].map((letter) => { const bytes = Buffer.alloc(4); bytes[big ? 'writeUInt32BE' : 'writeUInt32LE'](letter.codePointAt(0)); return bytes; }));
const french = 'L’été, la fenêtre était ouverte à cœur joie ; ça sentait le café.';
const german = 'Die Bäckerin grüßt schöne Gäste und verkauft süße Brötchen.';
Object.assign(encoded, {
  'mac.txt': [paged(french, MAC), french, 'Mac Roman'],
  'dos-german.txt': [paged(german, DOS), german, 'DOS 850'],
  'french.txt': [Buffer.from(`${french} 0`.replace('’', '\x92').replace('œ', '\x9c'), 'latin1'), `${french} 0`, 'Windows-1252'],
  'wide.txt': [utf32(`${french} 1 𝄞`), `${french} 1 𝄞`, 'UTF-32'],
  'wide-marked.txt': [utf32(`\ufeff${french} 2`, true), `${french} 2`, 'UTF-32'],
});
const asRead = (library) => Object.fromEntries(Object.entries(library).map(([name, { text, readAs }]) => [name, [text, readAs]]));
const wanted = Object.fromEntries(Object.entries(encoded).map(([name, [, text, as]]) => [name, [text, as]]));

test('encodings are recognised, and named', async (t) => {
  const { page } = await openSearch(t);
  await page.setInputFiles('#files', Object.entries(encoded).map(([name, [bytes]]) => file(name, bytes)));
  await documents(page, Object.keys(encoded).length);
  await idle(page);
  assert.deepEqual(asRead(await kept(page)), wanted);
  await says(page, '.documents', /read as Shift-JIS.*read as KOI8-R/);
});

test('Firefox reads the same', async (t) => {
  const server = await startServer(t);
  const browser = await firefox(`${server.url}#search`);
  t.after(() => browser.close());
  const { page } = browser;
  await page.waitForSelector('#model-button[data-phase="ready"]', { timeout: PATIENCE });
  const files = [...Object.entries(encoded).map(([name, [bytes]]) => [name, bytes]), [docx.name, docx.buffer], [html.name, html.buffer]];
  await chooseFiles(page, files);
  await page.waitForFunction((n) => document.querySelectorAll('.documents button.danger').length === n && document.querySelector('#job').hidden, { timeout: PATIENCE }, files.length);
  const { 'letter.docx': letter, 'page.html': garden, ...others } = await page.evaluate(readLibrary);
  assert.deepEqual(asRead(others), wanted);
  assert.match(letter.text, /^The harbour\n\nBread & lemons\tcome early\.\n/);
  assert.equal(garden.text, 'Gardens\n\nSoil\n\nBeans like it warm.\n\nkept');
});

test('what takes long is read beside the page, tells how far it is, and can be called off', async (t) => {
  const { page } = await openSearch(t, { errors: [/nested too deep/] });
  const sentence = 'The sailor cooks a soup of lentils.';
  await page.setInputFiles('#files', [
    file('deep.html', `<p>Before.</p>${'<div>'.repeat(1e5)}${sentence}${'</div>'.repeat(1e5)}<p>Behind.</p>`),
    packed('deep.docx', { 'word/document.xml': w(`${'<w:sdt>'.repeat(1e5)}<w:p/>`) }),
    file('line.txt', `${sentence} ${'x'.repeat(1e6)} ${sentence}`),
  ]);
  await says(page, '#notices', /deep\.docx is nested too deep to be read/);
  await documents(page, 2);
  await idle(page);
  assert.match((await kept(page))['deep.html'].text, new RegExp(`^Before\\.\\s+${sentence}\\s+Behind\\.$`));
  await page.fill('#query', 'lentils');
  await page.waitForSelector('.result mark');
  assert.ok((await page.$$eval('.result .text', (all) => Math.max(...all.map((one) => one.textContent.length)))) < 2000);

  await page.setInputFiles('#files', file('wide.csv', `${'"a column",'.repeat(2e5)}\n${'"'.repeat(1e6)}\n`));
  await page.waitForSelector('#dialog[open] input[name="column"]');
  assert.equal(await page.locator('#dialog input[name="column"]').count(), 200);
  await page.keyboard.press('Escape');
  await page.waitForSelector('#reading', { state: 'hidden' });

  await page.setInputFiles('#files', [file('long.csv', 'id,text\n'.concat('1,"soup"\n'.repeat(3e6))), file('next.txt', sentence)]);
  await says(page, '#reading-name', /^Reading long\.csv \(27 MB\), 1 of 2 files/);
  await page.click('#reading-cancel');
  await page.waitForSelector('#reading', { state: 'hidden' });
  assert.ok(await page.isHidden('#dialog'));

  await page.setInputFiles('#files', file('book.txt', `${sentence} `.repeat(1e5)));
  await says(page, '#job-detail', /\d+ % cut into passages · .* left/);
  await page.click('#job-cancel');
  await idle(page);
  await documents(page, 2);
});

test('what cannot be read is named, and leaves nothing behind', async (t) => {
  const { page } = await openSearch(t, { errors: [/./] });
  const bomb = zipSync({ 'word/document.xml': new Uint8Array(70e6) });
  const locked = Buffer.from(docx.buffer);
  locked[6] |= 1;
  // A header that claims four gigabytes.
  const liar = Buffer.from(zipSync({ 'a.txt': strToU8('short text here') }, { level: 0 }));
  for (const at of [liar.indexOf('PK\x01\x02') + 24, 22]) liar.writeUInt32LE(0xfffffff0, at);
  for (const [one, sentence] of [
    [file('spaces.txt', '   \n\n\t  '), /spaces\.txt holds no text, only spaces/],
    [file('photo.jpg', Buffer.from([0xff, 0xd8, 0xff, 0, 1, 2, 3, 4, 5, 0, 0])), /photo\.jpg is not a text file/],
    [file('old.doc', Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(600)])), /old\.doc is in an old Office format/],
    [file('letter.rtf', '{\\rtf1 hello}'), /rich text/],
    [file('bomb.docx', bomb), /larger than 64 MB/],
    [file('locked.docx', locked), /locked with a password/],
    [file('liar.zip', liar), /larger than 64 MB, or claims to be/],
    [file('cut.docx', docx.buffer.subarray(0, 300)), /cut\.docx is damaged/],
    [packed('empty.docx', { 'other.xml': '<x/>' }), /word\/document\.xml is missing/],
    [file('bad.json', '{"a": '), /bad\.json is not JSON/],
    [packed('outer.zip', { 'inner.zip': zipSync({ 'a.txt': strToU8('within') }) }), /inner\.zip is an archive within an archive/],
    [packed('sparse.xlsx', { 'xl/workbook.xml': '<workbook xmlns:r="r"><sheets><sheet name="S" r:id="r1"/></sheets></workbook>', 'xl/_rels/workbook.xml.rels': relations('sheet.xml'), 'xl/sheet.xml': `<worksheet>${'<row><c r="XFD1"><v>1</v></c></row>'.repeat(620)}</worksheet>` }), /more than 10 million cells, or claims to/],
    [file('loop.pdf', pdf(['One page.']).toString('latin1').replace(/\/Kids \[[^\]]*\]/, '/Kids [2 0 R]')), /loop\.pdf could not be read as a PDF/],
  ]) {
    await page.setInputFiles('#files', [one]);
    await says(page, '#notices', sentence);
  }
  assert.deepEqual(await kept(page), {});
  assert.ok(await page.isHidden('#reading'));
});
