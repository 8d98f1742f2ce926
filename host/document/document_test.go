package document

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/md5"
	"crypto/rc4"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// reading is what came of a file.
type reading struct {
	documents []Document
	skipped   []string
	errs      []error
}

func read(t testing.TB, r *Reader, name, content string) reading {
	t.Helper()
	files := fstest.MapFS{name: {Data: []byte(content), ModTime: time.Unix(1e9, 0)}}
	var out reading
	err := r.Read(context.Background(), File{files, name, name}, Handler{
		Document: func(d Document) error { out.documents = append(out.documents, d); return nil },
		Skipped: func(name string, err error) error {
			out.skipped = append(out.skipped, name+": "+err.Error())
			out.errs = append(out.errs, err)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zipped(t testing.TB, namesAndContents ...string) string {
	t.Helper()
	return zippedBy(t, zip.Deflate, namesAndContents...)
}

func zippedBy(t testing.TB, method uint16, namesAndContents ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(namesAndContents); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: namesAndContents[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(namesAndContents[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	xlsxBook = `<workbook xmlns:r="r"><sheets><sheet name="All" sheetId="1" r:id="r2"/><sheet name="Old" state="hidden" sheetId="2" r:id="r1"/></sheets></workbook>`

	xlsxOrder = `<Relationships><Relationship Id="r1" Target="worksheets/sheet2.xml"/><Relationship Id="r2" Target="worksheets/sheet1.xml"/></Relationships>`
)

func tarred(t testing.TB, namesAndContents ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(namesAndContents); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: namesAndContents[i], Mode: 0o600, Size: int64(len(namesAndContents[i+1]))}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(namesAndContents[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(content string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(content))
	z.Close()
	return b.String()
}

// show writes documents as the tables of the tests have them.
func (r reading) show() string {
	var b strings.Builder
	for _, d := range r.documents {
		fmt.Fprintf(&b, "%s|%s|%d|%s\n", d.Part, d.Title, d.Line, strings.ReplaceAll(d.Text, "\n", "/"))
	}
	for _, s := range r.skipped {
		fmt.Fprintf(&b, "! %s\n", s)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	const mailText = "From: Ann <ann@example.org>\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Tue, 02 Jan 2024 10:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSee you at the caf=E9=\r\n tomorrow.\r\n"
	const multipart = "From: a@example.org\nSubject: Plan\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=X\n\n" +
		"--X\nContent-Type: multipart/alternative; boundary=Y\n\n--Y\nContent-Type: text/plain\n\nThe plan is below.\n--Y\nContent-Type: text/html\n\n<p>The <b>plan</b></p>\n--Y--\n" +
		"--X\nContent-Type: text/csv; name=a.csv\nContent-Disposition: attachment; filename=\"../a.csv\"\nContent-Transfer-Encoding: base64\n\naWQsdGV4dAoxLGhlbGxv\n--X--\n"
	for _, c := range []struct {
		name, content, want string
		text                []string
		title               string
	}{
		{name: "a.txt", content: "\ufeffone\r\ntwo\rthree", want: "|a|1|one/two/three\n"},
		{name: "noname", content: "plain", want: "|noname|1|plain\n"},
		{name: "a.go", content: "package a\n\nfunc F() {}\n", want: "|a|1|package a//func F() {}/\n"},
		{name: "empty.txt", want: "! empty.txt: no text\n"},
		{name: "spaces.txt", content: " \n\t \n", want: "! spaces.txt: no text\n"},
		{name: "x.bin", content: "ab\x00\x01", want: "! x.bin: no text\n"},
		{name: "locked.docx", content: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", want: "! locked.docx: encrypted: it needs a password\n"},
		{name: "old.doc", content: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", want: "! old.doc: an Office file of before 2007, which is not read: save it as DOCX, XLSX or PPTX\n"},
		{name: "Thumbs.db", content: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", want: "! Thumbs.db: no text\n"},
		{name: "late.run", content: strings.Repeat("text ", 3000) + strings.Repeat("\x00\x01\x02", 3000), want: "! late.run: no text\n"},
		{name: "x.rtf", content: `{\rtf1 text}`, want: "|x|0|text\n"},
		{name: "odd.rtf", content: `{\rtf1}}{\u`, want: "! odd.rtf: no text\n"},
		{name: "word.rtf", content: "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fswiss Arial;}{\\f1\\fcharset204 Arial;}}{\\colortbl;\\red0;}{\\info{\\title The caf\\'e9}{\\author A}}{\\*\\generator W;}\r\n" +
			"\\pard\\b Caf\\'e9\\b0  and \\u8364?5\\emdash here\\par \\{br\\}\\tab {\\f1 \\'cc\\'ee\\'f1\\'ea\\'e2\\'e0}\\page next{\\v hidden}\\u55357?\\u56832?\r\n\\par{\\field{\\*\\fldinst HYPERLINK x}{\\fldrslt link}}}",
			want: "|The café|0|Café and €5—here//{br} Москва//next😀//link\n"},
		{name: "a.srt", content: "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> there\n\n2\n00:00:03,000 --> 00:00:04,000\n{\\an8}Bye\n", want: "|a|1|//Hello there////Bye/\n"},
		{name: "a.vtt", content: "WEBVTT\n\nNOTE no\n\n00:01.000 --> 00:02.000 align:start\n<v Ann>Hi\nyou", want: "|a|1|/////Hi/you\n"},

		{name: "a.html", content: "<html><head><title> T </title><style>p{}</style></head><body onload=x()><h1>Top</h1><p>Vis<b>ible</b>\n text</p><script>alert(1)</script>" +
			"<div hidden>no</div><p style='display: none'>no</p><span aria-hidden=true>no</span><noscript>no</noscript><ul><li>one<li>two</ul><table><tr><td>a<td>b</table><pre>x\n  y</pre></body>",
			want: "|T|0|Top//Visible text//one/two//a b//x/  y\n"},
		{name: "page", content: "<!DOCTYPE html><p>hi", want: "|page|0|hi\n"},
		{name: "deep.html", content: strings.Repeat("<b><i>", 400) + "deep" + "<script>no</script>", want: "|deep|0|deep\n"},

		{name: "a.csv", content: "id,text\n1,\"hello, world\"\n2,foo\n", want: "#1|a|2|hello, world\n#2|a|3|foo\n"},
		{name: "semicolon.csv", content: "titel;text;preis\nA;eins, zwei;1,50\nB;\"drei\nvier\";2,50\n", want: "#1|semicolon|2|eins, zwei\n#2|semicolon|3|drei/vier\n"},
		{name: "pipe.csv", content: "id|title|text\n1|Cat|The cat sleeps\n2|Dog|The dog barks\n", want: "#1|Cat|2|The cat sleeps\n#2|Dog|3|The dog barks\n"},
		{name: "sep.csv", content: "sep=;\r\nid;title;text\r\n1;Cat;The cat, asleep\r\n", want: "#1|Cat|3|The cat, asleep\n"},
		{name: "tab.tsv", content: "a b\tc, d\ne f\tg, h\n", want: "#1|tab|1|a b/c, d\n#2|tab|2|e f/g, h\n"},
		{name: "noheader.csv", content: "The cat sleeps on the sofa\r\nStocks fell sharply on Monday\r\nRain is expected\r\n", want: "#1|noheader|1|The cat sleeps on the sofa\n#2|noheader|2|Stocks fell sharply on Monday\n#3|noheader|3|Rain is expected\n"},
		{name: "unnamed.csv", content: "wann,wer,was\n2024-01-02,anna,The parcel came back yesterday\n2024-01-03,bert,Nobody was at home\n", want: "#1|unnamed|2|anna/The parcel came back yesterday\n#2|unnamed|3|bert/Nobody was at home\n"},
		{name: "url.csv", content: "title,description,url\nCat,Sleeps,https://example.org/a\n", want: "#1|Cat|2|Sleeps\n"},
		{name: "mac.csv", content: "id,text\r1,one\r2,two\r", want: "#1|mac|2|one\n#2|mac|3|two\n"},
		{name: "chosen.csv", content: "a,b,c\nx,y,z\n", text: []string{"c", "a"}, title: "b", want: "#1|y|2|z/x\n"},
		{name: "missing.csv", content: "a,b,c\nx,y,z\n", text: []string{"d"}, want: "! missing.csv: no column \"d\"; there are: a, b, c\n"},
		{name: "stray.csv", content: "id,text\n1,say \"hi\" now\n", want: "#1|stray|2|say \"hi\" now\n"},

		{name: "a.jsonl", content: "{\"title\":\"T\",\"text\":\"one\"}\n\n\"two\"\n{\"text\":[\"a\",\"b\"]}\n", want: "#1|T|1|one\n#3|a|3|two\n#4|a|4|a/b\n"},
		{name: "bad.jsonl", content: "{\"text\":\"one\"}\n{\"text\":\n", want: "#1|bad|1|one\n! bad.jsonl: line 2: not JSON\n"},
		{name: "a.json", content: "[\n {\n  \"title\": \"Login\",\n  \"text\": \"I cannot\"\n },\n {\"body\": \"charged twice\", \"n\": 3}\n]", want: "#1|Login|2|I cannot\n#2|a|6|charged twice\n"},
		{name: "other.json", content: "{\"a\": 1}", want: "|other|1|{\"a\": 1}\n"},
		{name: "lines.json", content: "{\"text\":\"x\"}\n{\"text\":\"y\"}\n", want: "#1|lines|1|x\n#2|lines|2|y\n"},
		{name: "cut.json", content: "[{\"text\":\"one\"},", want: "#1|cut|1|one\n! cut.json: value 2 of the array: not JSON: jsontext: unexpected EOF after offset 16\n"},

		{name: "a.eml", content: mailText, want: "|Café|0|See you at the café tomorrow.\n"},
		{name: "b.mbox", content: "From a Tue Jan  2 10:00:00 2024\nSubject: One\n\nfirst\n>From here\n\nFrom b Tue Jan  2 10:00:00 2024\nSubject: Two\n\nsecond\nFrom the start\n", want: "#1|One|0|first/From here\n#2|Two|0|second/From the start\n"},
		{name: "c.eml", content: multipart, want: "/a.csv#1|a|2|hello\n|Plan|0|The plan is below.\n"},

		{name: "a.txt.gz", content: gzipped("unpacked"), want: "|a|1|unpacked\n"},
		{name: "a.zip", content: zipped(t, "notes/a.txt", "hello", "b.csv", "id,text\n1,x\n", ".hidden", "no", "c.bin", "\x00", "in.zip", zipped(t, "d.txt", "deep")), want: "/notes/a.txt|a|1|hello\n/b.csv#1|b|2|x\n/in.zip/d.txt|d|1|deep\n! a.zip/c.bin: no text\n"},
		{name: "up.zip", content: zipped(t, "../../etc/a.txt", "hello"), want: "/etc/a.txt|a|1|hello\n"},
		{name: "broken.zip", content: zipped(t, "a.txt", "hello")[:40], want: "! broken.zip: zip: not a valid zip file\n"},
		{name: "bell.txt", content: "a bell \a in a short text", want: "|bell|1|a bell \a in a short text\n"},
		{name: "broken.gz", content: gzipped(strings.Repeat("hello ", 100))[:20], want: "! broken.gz: gzip: damaged: unexpected EOF\n"},
		{name: "table.xlsx", content: zipped(t, "[Content_Types].xml", "<Types/>", "xl/workbook.xml", "<a/>"), want: "! table.xlsx: no text\n"},
		{name: "faq.xlsx", content: zipped(t, "[Content_Types].xml", "<Types/>", "xl/workbook.xml", xlsxBook, "xl/_rels/workbook.xml.rels", xlsxOrder,
			"xl/sharedStrings.xml", `<sst><si><t>question</t></si><si><r><t>How do I </t></r><r><t>return it?</t></r><rPh><t>x</t></rPh></si><si><t>answer</t></si></sst>`,
			"xl/styles.xml", `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="[Red]yyyy"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>`,
			"xl/worksheets/sheet1.xml", `<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>2</v></c><c r="C1" t="inlineStr"><is><t>date</t></is></c></row>`+
				`<row r="3"><c r="A3" t="s"><v>1</v></c><c t="str"><f>1+1</f><v>Within 14 days.</v></c><c s="1"><v>45293</v></c><c r="XFD3"><v>9</v></c></row><row/></sheetData></worksheet>`,
			"xl/worksheets/sheet2.xml", `<worksheet><sheetData><row><c><v>1</v></c></row></sheetData></worksheet>`),
			want: "#3|How do I return it?|0|Within 14 days.\n"},
		{name: "talk.pptx", content: zipped(t, "[Content_Types].xml", "<Types/>", "ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="1" r:id="b"/><p:sldId id="2" r:id="a"/></p:sldIdLst></p:presentation>`,
			"ppt/_rels/presentation.xml.rels", `<Relationships><Relationship Id="a" Target="slides/slide1.xml"/><Relationship Id="b" Target="/ppt/slides/slide2.xml"/></Relationships>`,
			"ppt/slides/slide1.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:sp><p:txBody><a:p><a:r><a:t>Last</a:t></a:r><a:br/><a:fld><a:t>2</a:t></a:fld></a:p></p:txBody></p:sp></p:sld>`,
			"ppt/slides/slide2.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>Parcels</a:t></a:r></a:p></p:txBody></p:sp>`+
				`<p:sp><p:txBody><a:p><a:r><a:t>Send</a:t></a:r><a:r><a:t> back</a:t></a:r></a:p><a:p><a:r><a:t>soon</a:t></a:r></a:p></p:txBody></p:sp></p:sld>`,
			"ppt/slides/_rels/slide2.xml.rels", `<Relationships><Relationship Id="n" Target="../notesSlides/notesSlide1.xml"/></Relationships>`,
			"ppt/notesSlides/notesSlide1.xml", `<p:notes xmlns:p="p" xmlns:a="a"><p:sp><p:txBody><a:p><a:r><a:t>Smile</a:t></a:r></a:p></p:txBody></p:sp></p:notes>`),
			want: "|talk|0|Parcels//Send back/soon//Smile//Last\n"},
		{name: "talk.odp", content: zipped(t, "mimetype", "application/vnd.oasis.opendocument.presentation", "content.xml", `<o:document-content xmlns:o="o" xmlns:t="t" xmlns:d="d"><o:body><o:presentation><d:page><t:p>One</t:p></d:page><d:page><t:p>Two</t:p></d:page></o:presentation></o:body></o:document-content>`),
			want: "|talk|0|One//Two\n"},
		{name: "some.tar", content: tarred(t, "a/b.txt", "plain", ".hidden", "no", "../c.csv", "text\nrow"), want: "/a/b.txt|b|1|plain\n/c.csv#1|c|2|row\n"},
		{name: "some.tgz", content: gzipped(tarred(t, "a.txt", "packed")), want: "/a.txt|a|1|packed\n"},

		{name: "a.docx", content: zipped(t, "[Content_Types].xml", "<Types/>", "word/styles.xml", `<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>`,
			"word/document.xml", `<w:document xmlns:w="w"><w:body><w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Begin</w:t></w:r></w:p><w:p><w:r><w:t>Hello </w:t></w:r><w:r><w:t>from Word</w:t><w:tab/><w:t>x</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>`),
			want: "|a|0|Begin//Hello from Word x//a b\n"},
		{name: "a.odt", content: zipped(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", `<o:document-content xmlns:o="o" xmlns:t="t"><o:body><o:text><t:h t:outline-level="2">Part</t:h><t:p>One<t:s/>two<t:line-break/>three<o:annotation><t:p>no</t:p></o:annotation></t:p></o:text></o:body></o:document-content>`),
			want: "|a|0|Part//One two/three\n"},
		{name: "a.epub", content: zipped(t, "mimetype", "application/epub+zip", "META-INF/container.xml", `<container><rootfiles><rootfile full-path="O/b.opf"/></rootfiles></container>`,
			"O/b.opf", `<package><metadata><dc:title xmlns:dc="d">Book</dc:title></metadata><manifest><item id="2" href="c%202.xhtml" media-type="application/xhtml+xml"/><item id="1" href="c1.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="1"/><itemref idref="2"/></spine></package>`,
			"O/c1.xhtml", "<html><body><h1>I</h1><p>first</p></body></html>", "O/c 2.xhtml", "<html><body><h1>II</h1><p>second</p></body></html>"),
			want: "|Book|0|I//first//II//second\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := read(t, &Reader{Text: c.text, TitleField: c.title}, c.name, c.content).show(); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestFields compares what a document has beside its text.
func TestFields(t *testing.T) {
	r := read(t, &Reader{}, "a.csv", "id,text,author\n7,hello,Ann\n")
	if f := r.documents[0].Fields; len(f) != 2 || f["id"] != "7" || f["author"] != "Ann" {
		t.Error(f)
	}
	r = read(t, &Reader{}, "a.jsonl", `{"text":"x","year":1999,"tags":["a"],"none":null}`)
	if f := r.documents[0].Fields; len(f) != 1 || f["year"] != "1999" {
		t.Error(f)
	}
	r = read(t, &Reader{}, "a.eml", "From: Ann <a@example.org>\nDate: Tue, 02 Jan 2024 10:00:00 +0000\nSubject: x\n\ny")
	d := r.documents[0]
	if !strings.Contains(d.Fields["from"], "a@example.org") || d.Modified.Unix() != 1704189600 {
		t.Error(d.Fields, d.Modified)
	}
	r = read(t, &Reader{}, "a.md", "# One\n\ntext\n\n## Two\n\nmore")
	if h := r.documents[0].Headings; len(h) != 2 || h[1].Title != "Two" || h[1].Level != 2 {
		t.Error(h)
	}
	r = read(t, &Reader{}, "a.html", "<h2>One</h2><p>text<h3>Two <i>three</i></h3>more")
	d = r.documents[0]
	if h := d.Headings; len(h) != 2 || h[1].Title != "Two three" || d.Text[h[1].Start:h[1].End] != "Two three" {
		t.Error(h)
	}
	if d.Modified.Unix() != 1e9 {
		t.Error(d.Modified)
	}
}

// TestCharsets reads short texts as old programs wrote them.
func TestCharsets(t *testing.T) {
	for _, c := range []struct{ charset, text string }{
		{"windows-1252", "café\nok\n"},
		{"windows-1252", "Größe und Maß der Tür, schön für übermütige Bäcker"},
		{"windows-1252", "L’été dernier, nous avons mangé des crêpes à la plage."},
		{"windows-1252", "naïve coöperation cost 50 € . “Quoted” – dash here"},
		{"windows-1252", "El niño comió una piña en la montaña. ¿Qué pasó?"},
		{"windows-1252", "Smörgåsbord på svenska är gott, säger farmor från Åre"},
		{"windows-1250", "Zażółć gęślą jaźń. Wszystko będzie dobrze, jeśli się postaramy."},
		{"iso-8859-2", "Wszystko będzie dobrze, jeśli się postaramy i znajdziemy właściwą drogę do domu."},
		{"koi8-r", "Быстрая коричневая лиса прыгает через ленивую собаку"},
		{"windows-1251", "Быстрая коричневая лиса прыгает через ленивую собаку"},
		{"windows-1251", "Привет, мир! Это письмо написано в Москве."},
		{"ibm866", "Быстрая коричневая лиса прыгает через ленивую собаку"},
		{"iso-8859-5", "Быстрая коричневая лиса прыгает через ленивую собаку"},
		{"shift_jis", "日本語の文章です。今日は天気がいい。"},
		{"shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"},
		{"euc-jp", "日本語の文章です。今日は天気がいい。"},
		{"iso-2022-jp", "日本語の文章です。今日は天気がいい。"},
		{"gb18030", "今天天气很好，我们去公园散步。"},
		{"big5", "今天天氣很好，我們去公園散步。"},
		{"euc-kr", "오늘은 날씨가 좋아서 공원에 갔습니다."},
		{"iso-8859-7", "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί"},
		{"windows-1255", "השועל החום המהיר קופץ מעל הכלב העצלן"},
		{"windows-1256", "القطة تنام على الأريكة في البيت"},
		{"windows-1254", "Hızlı kahverengi tilki tembel köpeğin üzerinden atlar, çünkü güneşli bir gün"},
		{"windows-874", "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ"},
		{"utf-16le", "The café's naïve coöperation cost 50 €. “Quoted”\r\n"},
		{"utf-16be", "Быстрая лиса, and more"},
		{"utf-8", "Ωμέγα 日本 ok"},
	} {
		e, _ := charset.Lookup(c.charset)
		if e == nil {
			t.Fatal(c.charset)
		}
		data, err := e.NewEncoder().String(c.text)
		if err != nil {
			t.Fatal(c.charset, err)
		}
		for _, repeated := range []int{1, 40} {
			want := lineEnds(strings.Repeat(c.text+"\n", repeated))
			r := read(t, &Reader{}, "a.txt", strings.Repeat(data+mustEncode(t, c.charset, "\n"), repeated))
			if len(r.documents) != 1 || r.documents[0].Text != want {
				t.Errorf("%s ×%d: %.60q: got %.200s", c.charset, repeated, c.text, r.show())
			}
		}
	}
	// A mark, and bytes that are none of UTF-8 in the middle of it.
	for content, want := range map[string]string{
		"\xff\xfeh\x00i\x00":                         "hi",
		"\xfe\xff\x00h\x00i":                         "hi",
		"\xff\xfe\x00\x00h\x00\x00\x00i\x00\x00\x00": "hi",
		strings.Repeat("é", 200) + "\xe9":            strings.Repeat("é", 200) + "é",
	} {
		if r := read(t, &Reader{}, "a.txt", content); len(r.documents) != 1 || r.documents[0].Text != want {
			t.Errorf("%q: %s", content[:2], r.show())
		}
	}
	// Names of charsets in pages and in streams.
	page := "<meta charset=koi8-r><title>" + mustEncode(t, "koi8-r", "Привет") + "</title><p>x"
	if r := read(t, &Reader{}, "a.html", page); len(r.documents) != 1 || r.documents[0].Title != "Привет" {
		t.Error(r.show())
	}
	table := mustEncode(t, "utf-16le", "\ufeffid\ttext\n1\tgrößer\n")
	if r := read(t, &Reader{}, "a.csv", table); r.show() != "#1|a|2|größer\n" {
		t.Error(r.show())
	}
	// The first byte that is not ASCII stands far behind the beginning.
	far := strings.Repeat("plain line\n", 20000) + mustEncode(t, "windows-1251", "Быстрая коричневая лиса прыгает через ленивую собаку")
	if r := read(t, &Reader{}, "a.txt", far); !strings.HasSuffix(r.documents[0].Text, "собаку") {
		t.Error(r.documents[0].Text[len(r.documents[0].Text)-80:])
	}
}

func mustEncode(t *testing.T, name, text string) string {
	t.Helper()
	e, _ := charset.Lookup(name)
	data, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestBounds reads what would take too much.
func TestBounds(t *testing.T) {
	small := &Reader{MaxText: 1 << 20}
	long := strings.Repeat("word ", 1<<18)
	nest := zipped(t, "a.txt", "x")
	for range maxDepth {
		nest = zipped(t, "in.zip", nest)
	}
	for _, c := range []struct{ name, content, want string }{
		{"a.html", "<p>" + long, "too large"},
		{"a.docx", zipped(t, "word/document.xml", `<w:document xmlns:w="w"><w:p><w:t>`+long+`</w:t></w:p></w:document>`), "too large"},
		{"deep.docx", zipped(t, "word/document.xml", strings.Repeat("<a>", 2000)), "too large"},
		{"nest.zip", nest, "more than 4 deep"},
	} {
		r := read(t, small, c.name, c.content)
		if len(r.documents) != 0 || len(r.errs) != 1 || !errors.Is(r.errs[0], ErrTooLarge) || !strings.Contains(r.skipped[0], c.want) {
			t.Errorf("%s: %.300s", c.name, r.show())
		}
	}
	bomb := gzipped("id,text\n" + strings.Repeat("1,"+strings.Repeat("a", 1<<20)+"\n", 200))
	if r := read(t, &Reader{}, "bomb.csv.gz", bomb); len(r.errs) != 1 || !errors.Is(r.errs[0], ErrTooLarge) || !strings.Contains(r.skipped[0], "50 times") || len(r.documents) < 120 {
		t.Error(len(r.documents), r.skipped)
	}
	if r := read(t, small, "quote.csv", "id,text\n1,\""+strings.Repeat("a,b\n", 5<<20)); len(r.errs) != 1 || !errors.Is(r.errs[0], ErrTooLarge) {
		t.Errorf("%.300s", r.show())
	}
}

// TestPieces reads a text that is longer than a document may be.
func TestPieces(t *testing.T) {
	line := strings.Repeat("wörd ", 100) + "\n"
	text := strings.Repeat(line, 30) + strings.Repeat("é", 20000)
	for _, content := range []string{text, gzipped(text), mustEncode(t, "windows-1252", text), mustEncode(t, "utf-16le", "\ufeff"+text)} {
		r := read(t, &Reader{MaxText: 10000}, "a.txt", content)
		whole, lines := "", 1
		for i, d := range r.documents {
			if d.Part != fmt.Sprintf("~%d", i+1) || d.Line != lines || len(d.Text) > 10000 {
				t.Fatal(d.Part, d.Line, lines, len(d.Text))
			}
			whole += d.Text
			lines += strings.Count(d.Text, "\n")
		}
		if whole != text || len(r.documents) < 5 {
			t.Errorf("%d documents of %d bytes, want %d", len(r.documents), len(whole), len(text))
		}
	}
	got, other, err := Lines("a.txt.gz", strings.NewReader(gzipped("caf\xe9\nok\n")))
	if err != nil || other != "" {
		t.Fatal(other, err)
	}
	if b, _ := io.ReadAll(got); string(b) != "café\nok\n" {
		t.Errorf("%q", b)
	}
	if _, other, _ := Lines("a.csv", strings.NewReader("a,b")); other != "a table" {
		t.Error(other)
	}
}

// TestPDF reads pages, and what no reader can.
func TestPDF(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	r := &Reader{CacheDir: filepath.Join(cache, "m2embed", "test")}
	defer r.Close()
	got := read(t, r, "a.pdf", makePDF("", "Parcels come back.", "Second page"))
	if got.show() != "|a|0|Parcels come back.//Second page\n" || fmt.Sprint(got.documents[0].Pages) != "[0 20]" {
		t.Error(got.show(), got.documents)
	}
	got = read(t, r, "a.zip", zipped(t, "b.pdf", makePDF("", "In a zip")))
	if got.show() != "/b.pdf|b|0|In a zip\n" {
		t.Error(got.show())
	}
	for _, c := range []struct{ name, content, want string }{
		{"locked.pdf", makePDF("/Encrypt<</Filter/Standard/V 1/R 2/P -4/O("+strings.Repeat("o", 32)+")/U("+strings.Repeat("u", 32)+")>>/ID[(a)(a)]", "x"), ErrEncrypted.Error()},
		{"pictures.pdf", makePDF("", ""), "only pictures"},
		{"damaged.pdf", "%PDF-1.4\nnothing", "no whole PDF"},
	} {
		got := read(t, r, c.name, c.content)
		if len(got.skipped) != 1 || !strings.Contains(got.skipped[0], c.want) {
			t.Errorf("%s: %s, want %s", c.name, got.show(), c.want)
		}
	}
	// What a PDF claims of itself: each is read, or refused in a sentence.
	plain := makePDF("", "the harbour")
	for name, content := range map[string]string{
		"length-0": strings.Replace(plain, "/Length 41", "/Length 0", 1), "length-4G": strings.Replace(plain, "/Length 41", "/Length 4194967295", 1),
		"length-negative": strings.Replace(plain, "/Length 41", "/Length -5", 1), "length-itself": strings.Replace(plain, "/Length 41", "/Length 5 0 R", 1),
		"pages-2G": strings.Replace(plain, "/Count 1", "/Count 2147483647", 1), "pages-negative": strings.Replace(plain, "/Count 1", "/Count -1", 1),
		"page-cycle": strings.Replace(plain, "/Kids[", "/Kids[2 0 R ", 1), "huge": strings.Replace(plain, "[0 0 300 300]", "[0 0 1e30 1e30]", 1),
		"contents": strings.Replace(plain, "/Contents 5 0 R", "/Contents["+strings.Repeat("5 0 R ", 20000)+"]", 1), "nested": plain + strings.Repeat("[", 1<<20),
	} {
		if content == plain {
			t.Fatal(name)
		}
		got := read(t, r, name+".pdf", content)
		if len(got.documents)+len(got.skipped) != 1 || len(got.show()) > 400 && len(got.skipped) > 0 {
			t.Errorf("%s: %.300s", name, got.show())
		}
		t.Logf("%s: %.100s", name, got.show())
	}
	// Encrypted with a password that all may read by, and with a secret one.
	for password, want := range map[string]string{"": "|e|0|the harbour\n", "secret": "! e.pdf: " + ErrEncrypted.Error() + "\n"} {
		if got := read(t, r, "e.pdf", encryptPDF(password)); got.show() != want {
			t.Errorf("password %q: %s", password, got.show())
		}
	}
	// Compressed to a thousandth.
	content := strings.Repeat("BT /F 12 Tf 20 200 Td (the harbour) Tj ET\n", 2<<20)
	var small bytes.Buffer
	z := zlib.NewWriter(&small)
	io.WriteString(z, content)
	z.Close()
	if got := read(t, r, "bomb.pdf", makePDFStream("/Filter/FlateDecode", small.String())); len(got.errs) != 1 || !errors.Is(got.errs[0], ErrTooLarge) {
		t.Errorf("%.300s", got.show())
	}
}

// makePDFStream writes a PDF whose page has a stream as it lies in the file.
func makePDFStream(filter, stream string) string {
	const text, length = "the harbour", "/Length 41"
	plain := makePDF("", text)
	content := "BT /F 12 Tf 20 200 Td (" + text + ") Tj ET"
	return strings.Replace(strings.Replace(plain, content, stream, 1), length, fmt.Sprintf("/Length %d%s", len(stream), filter), 1)
}

// encryptPDF encrypts "the harbour" with RC4 and a key of 40 bits, as revision 2 of the
// standard handler does (ISO 32000-1, 7.6.3), for readers with a password.
func encryptPDF(password string) string {
	padding := "\x28\xbf\x4e\x5e\x4e\x75\x8a\x41\x64\x00\x4e\x56\xff\xfa\x01\x08\x2e\x2e\x00\xb6\xd0\x68\x3e\x80\x2f\x0c\xa9\xfe\x64\x53\x69\x7a"
	coded := func(key []byte, text string) string {
		out := make([]byte, len(text))
		c, err := rc4.NewCipher(key)
		if err != nil {
			panic(err)
		}
		c.XORKeyStream(out, []byte(text))
		return string(out)
	}
	padded := (password + padding)[:32]
	ownerKey := md5.Sum([]byte(("owner" + padding)[:32]))
	owner := coded(ownerKey[:5], padded)
	const id, rights = "0123456789abcdef", "\xfc\xff\xff\xff" // -4
	key := md5.Sum([]byte(padded + owner + rights + id))
	user := coded(key[:5], padding)
	own := md5.Sum(append(key[:5:5], 5, 0, 0, 0, 0)) // of object 5
	stream := coded(own[:10], "BT /F 12 Tf 20 200 Td (the harbour) Tj ET")
	plain := makePDF(fmt.Sprintf("/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%x>/U<%x>>>/ID[<%x><%x>]", owner, user, id, id), "the harbour")
	return strings.Replace(plain, "BT /F 12 Tf 20 200 Td (the harbour) Tj ET", stream, 1)
}

// makePDF writes a PDF with a line of text a page.
func makePDF(trailer string, pages ...string) string {
	var b strings.Builder
	var at []int
	object := func(s string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), s)
	}
	b.WriteString("%PDF-1.4\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	kids := ""
	for i := range pages {
		kids += fmt.Sprintf("%d 0 R ", 4+2*i)
	}
	object(fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(pages), kids))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for i, text := range pages {
		object(fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>", 5+2*i))
		content := "BT /F 12 Tf 20 200 Td (" + text + ") Tj ET"
		object(fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(content), content))
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, trailer, start)
	return b.String()
}

// TestStop ends with the handler's error and with the context.
func TestStop(t *testing.T) {
	files := fstest.MapFS{"a.csv": {Data: []byte("id,text\n1,a\n2,b\n")}}
	mine := errors.New("enough")
	n := 0
	err := new(Reader).Read(context.Background(), File{files, "a.csv", "a.csv"}, Handler{
		Document: func(Document) error { n++; return mine },
		Skipped:  func(string, error) error { t.Error("skipped"); return nil },
	})
	if err != mine || n != 1 {
		t.Error(err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = new(Reader).Read(ctx, File{files, "a.csv", "a.csv"}, Handler{
		Document: func(Document) error { t.Error("a document"); return nil },
		Skipped:  func(string, error) error { t.Error("skipped"); return nil },
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzRead reads anything by any name but PDF, which is not our own reader's.
func FuzzRead(f *testing.F) {
	for name, content := range map[string]string{
		"a.txt": "text\xe9", "a.html": "<h1>a<p hidden>b", "a.csv": "a;b\n\"c\";d", "a.jsonl": "{\"text\":\"a\"}\n", "a.json": "[{\"text\":\"a\"}]",
		"a.mbox": "From a b c\nSubject: x\n\ny\n", "a.eml": "Content-Type: multipart/mixed; boundary=X\n\n--X\n\na\n--X--", "a.srt": "1\n00:00:01,000 --> 00:00:02,500\nx\n",
		"a.md": "# a\n", "a.gz": gzipped("x"), "a.zip": zipped(f, "a.txt", "x"),
		"a.tar": tarred(f, "a.txt", "x"), "a.rtf": `{\rtf1{\fonttbl{\f1\fcharset204 A;}}\f1\'cc\u8364?\bin2 ab{\*\x y}\par}`,
	} {
		f.Add(name, []byte(content))
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		name = strings.ReplaceAll(name, "/", "_")
		if !utf8.ValidString(name) || name == "" || name == "." || name == ".." || kindOf(name, content) == kindPDF {
			return
		}
		for _, d := range read(t, &Reader{MaxText: 1 << 20}, name, string(content)).documents {
			check(t, d)
		}
	})
}

// FuzzOffice reads XML inside the zip files of word processors and books. They are
// stored: a compressor takes longer to make than what is tested.
func FuzzOffice(f *testing.F) {
	kinds := [][]string{ // "" stands for the XML
		{"word/document.xml", "", "word/styles.xml", ""},
		{"mimetype", "application/vnd.oasis.opendocument.text", "content.xml", ""},
		{"mimetype", "application/epub+zip", "META-INF/container.xml", "", "a", ""},
		{"xl/workbook.xml", xlsxBook, "xl/_rels/workbook.xml.rels", xlsxOrder, "xl/sharedStrings.xml", "", "xl/styles.xml", "", "xl/worksheets/sheet1.xml", ""},
		{"ppt/presentation.xml", `<sldId x:id="r2"/>`, "ppt/_rels/presentation.xml.rels", strings.ReplaceAll(xlsxOrder, "work", ""), "ppt/sheets/sheet1.xml", ""},
	}
	f.Add(uint8(0), []byte(`<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>a</w:t></w:r></w:p>`))
	f.Add(uint8(1), []byte(`<body><h outline-level="1">a</h><p>b<s/></p></body>`))
	f.Add(uint8(3), []byte(`<si><t>a</t></si><cellXfs><xf numFmtId="14"/></cellXfs><row r="2"><c r="B1" t="s"><v>0</v></c><c s="0"><v>4e4</v></c></row>`))
	f.Add(uint8(4), []byte(`<sp><ph type="title"/><txBody><p><t>a</t></p></txBody></sp>`))
	f.Add(uint8(2), []byte(`<rootfile full-path="a"/><item id="1" href="a" media-type="html"/><itemref idref="1"/>`))
	f.Fuzz(func(t *testing.T, kind uint8, xml []byte) {
		parts := slices.Clone(kinds[int(kind)%len(kinds)])
		for i, part := range parts {
			if part == "" {
				parts[i] = string(xml)
			}
		}
		for _, d := range read(t, &Reader{MaxText: 1 << 20}, "a", zippedBy(t, zip.Store, parts...)).documents {
			check(t, d)
		}
	})
}

// check holds for every document.
func check(t *testing.T, d Document) {
	t.Helper()
	if !utf8.ValidString(d.Text) || strings.TrimSpace(d.Text) == "" {
		t.Fatalf("text %q", d.Text)
	}
	last := 0
	for _, h := range d.Headings {
		if h.Start < last || h.End <= h.Start || h.End > len(d.Text) {
			t.Fatalf("headings %v of %d bytes", d.Headings, len(d.Text))
		}
		last = h.End
	}
	last = 0
	for _, p := range d.Pages {
		if p < last || p > len(d.Text) {
			t.Fatalf("pages %v of %d bytes", d.Pages, len(d.Text))
		}
		last = p
	}
}
