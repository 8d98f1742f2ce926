package tokenizertest

import (
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// Generator makes strings in which tokenizers tend to differ. The same seed and
// pieces give the same strings.
type Generator struct {
	random *rand.Rand
	pieces []string // tokens of the vocabulary, to glue words from
}

// NewGenerator returns a generator that also uses the given vocabulary.
func NewGenerator(seed uint64, pieces []string) *Generator {
	return &Generator{random: rand.New(rand.NewPCG(seed, 0)), pieces: pieces}
}

// Strings returns n strings.
func (g *Generator) Strings(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = g.String()
	}
	return texts
}

// String returns one string, of valid UTF-8.
func (g *Generator) String() string {
	kinds := []func() string{
		g.words, g.words, g.gluedPieces, g.planes, g.blocks, g.blocks, g.marks, g.ideographs,
		g.controls, g.specialTokens, g.longWords, g.punctuation, g.casing, g.hangul, g.emoji, g.mutated, g.mutated,
	}
	text := kinds[g.random.IntN(len(kinds))]()
	if g.random.IntN(8) == 0 {
		text += g.pick(separators) + kinds[g.random.IntN(len(kinds))]()
	}
	return text
}

func (g *Generator) pick(list []string) string { return list[g.random.IntN(len(list))] }

// join glues up to n results of next, mostly without anything between them.
func (g *Generator) join(n int, next func() string) string {
	var text strings.Builder
	for range 1 + g.random.IntN(n) {
		text.WriteString(next())
		if g.random.IntN(3) == 0 {
			text.WriteString(g.pick(separators))
		}
	}
	return text.String()
}

// between returns a code point of a range that is not a surrogate.
func (g *Generator) between(low, high rune) string {
	for {
		if r := low + g.random.Int32N(high-low+1); utf8.ValidRune(r) {
			return string(r)
		}
	}
}

var separators = []string{"", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2028", "\u3000", "\v", "\u0085", "\u200b", "-", "."}

var plainWords = strings.Fields(`the of and in to a was is for on that with as by he at from it his an were are
which this also be or has had first one their its new after but who not they have her she two been other when there
all during into school time may years more most only over city some world would where later up such used many can
state about national out known university united then made embedding tokenization transformer unaffable playing
antidisestablishmentarianism Schrödinger naïve café résumé Größe Übermaß façade İstanbul ΑΘΗΝΑ Ελλάδα привет Москва
שלום عربى हिन्दी ไทย 日本語 中文 한국어 Việt Nguyễn don't can't it's we've they're U.S.A. e.g. 3.14 1,000,000 $5 €20 50% C++ F#
a@b.com http://x.org/y?z=1&w=2 foo_bar snake_case CamelCase #hashtag @user`)

func (g *Generator) words() string {
	return g.join(12, func() string { return g.pick(plainWords) + g.pick([]string{" ", " ", " ", "", ", ", ". "}) })
}

func (g *Generator) gluedPieces() string {
	return g.join(8, func() string {
		if len(g.pieces) == 0 {
			return g.pick(plainWords)
		}
		piece := g.pick(g.pieces)
		if g.random.IntN(4) > 0 {
			piece = strings.TrimPrefix(piece, "##")
		}
		if g.random.IntN(6) == 0 {
			piece = strings.ToUpper(piece)
		}
		return piece
	})
}

// planes returns code points from anywhere.
func (g *Generator) planes() string {
	return g.join(8, func() string {
		switch g.random.IntN(4) {
		case 0:
			return g.between(0, 0xFFFF)
		case 1:
			return g.between(0x10000, 0x1FFFF)
		case 2:
			return g.between(0, 0x10FFFF)
		}
		return g.between('a', 'z')
	})
}

// ranges are the places of interest: scripts, and what is new in Unicode 9 to 17.
var ranges = [][2]rune{
	{0x80, 0xFF}, {0x100, 0x24F}, {0x250, 0x36F}, {0x370, 0x3FF}, {0x400, 0x52F}, {0x531, 0x58A}, {0x591, 0x5F4},
	{0x600, 0x6FF}, {0x700, 0x8FF}, {0x900, 0x97F}, {0x980, 0xDFF}, {0xE00, 0xFFF}, {0x1000, 0x109F}, {0x10A0, 0x10FF},
	{0x1100, 0x11FF}, {0x13A0, 0x13FD}, {0x1780, 0x18AF}, {0x1AB0, 0x1AFF}, {0x1B00, 0x1BFF}, {0x1C00, 0x1CFF},
	{0x1D00, 0x1DFF}, {0x1E00, 0x1FFF}, {0x2000, 0x206F}, {0x2070, 0x214F}, {0x2150, 0x23FF}, {0x2400, 0x27BF},
	{0x27C0, 0x2BFF}, {0x2C00, 0x2DFF}, {0x2E00, 0x2E7F}, {0x2E80, 0x303F}, {0x3040, 0x30FF}, {0x3100, 0x33FF},
	{0xA000, 0xA4CF}, {0xA640, 0xA7FF}, {0xA800, 0xABFF}, {0xAC00, 0xD7FF}, {0xE000, 0xE0FF}, {0xF900, 0xFAFF},
	{0xFB00, 0xFDFF}, {0xFE00, 0xFEFF}, {0xFF00, 0xFFFF}, {0x10000, 0x107FF}, {0x10800, 0x10FFF}, {0x11000, 0x11FFF},
	{0x13000, 0x1345F}, {0x16A00, 0x16FFF}, {0x17000, 0x18CFF}, {0x1B000, 0x1BCAF}, {0x1CC00, 0x1CFFF}, {0x1D000, 0x1D24F},
	{0x1D400, 0x1D7FF}, {0x1E000, 0x1E95F}, {0x1F000, 0x1FAFF}, {0x20000, 0x2FFFF}, {0x30000, 0x323AF}, {0xE0000, 0xE01EF},
}

// blocks stays in one range for a while, as text does.
func (g *Generator) blocks() string {
	return g.join(4, func() string {
		r := ranges[g.random.IntN(len(ranges))]
		return g.join(6, func() string { return g.between(r[0], r[1]) })
	})
}

var markStarters = []string{"a", "e", "I", "é", "ệ", "Å", "中", "か", "ก", "ক", "한", " ", ".", "", "𝅘𝅥𝅮", "\U0001D15E", "\u0958", "≠"}

var markRanges = [][2]rune{
	{0x300, 0x36F}, {0x483, 0x489}, {0x591, 0x5BD}, {0x64B, 0x65F}, {0x8D0, 0x8FF}, {0x93A, 0x94D}, {0x1AB0, 0x1ACE},
	{0x1DC0, 0x1DFF}, {0x20D0, 0x20F0}, {0x302A, 0x302F}, {0x3099, 0x309C}, {0xFE00, 0xFE2F}, {0x1B44, 0x1B44},
	{0xA953, 0xA953}, {0x1D165, 0x1D172}, {0x1E000, 0x1E02A}, {0x1E944, 0x1E94A}, {0x10EAB, 0x10EAC}, {0x1DFB, 0x1DFB},
}

func (g *Generator) marks() string {
	return g.join(5, func() string {
		text := g.pick(markStarters)
		for range g.random.IntN(6) {
			r := markRanges[g.random.IntN(len(markRanges))]
			text += g.between(r[0], r[1])
		}
		return text
	})
}

var ideographEdges = []rune{
	0x3400, 0x4DB5, 0x4DBF, 0x4DC0, 0x4E00, 0x9FA5, 0x9FFF, 0xA000, 0xF900, 0xFA6D, 0xFAD9, 0xFAFF, 0x20000, 0x2A6D6, 0x2A6DF,
	0x2A700, 0x2B739, 0x2B73F, 0x2B740, 0x2B81F, 0x2B820, 0x2B91F, 0x2B920, 0x2CEAF, 0x2CEB0, 0x2EBE0, 0x2F800, 0x2FA1D, 0x2FA1F,
	0x30000, 0x31350, 0x323AF, 0x3005, 0x3007, 0x3021, 0x3041, 0x30A1, 0x30FC, 0x31C0, 0x2E80, 0x2F00, 0xFF66, 0xAC00,
}

func (g *Generator) ideographs() string {
	return g.join(8, func() string {
		switch g.random.IntN(4) {
		case 0:
			return g.pick(plainWords)
		case 1:
			return g.between(0x4E00, 0x9FFF)
		}
		edge := ideographEdges[g.random.IntN(len(ideographEdges))]
		return g.between(edge-2, edge+2)
	})
}

var controlCharacters = []string{
	"\x00", "\x01", "\x08", "\t", "\n", "\v", "\f", "\r", "\x1b", "\x1c", "\x1f", "\x7f", "\u0080", "\u0085", "\u009f", "\u00a0", "\u00ad",
	"\u0600", "\u061c", "\u06dd", "\u070f", "\u08e2", "\u1680", "\u180e", "\u2000", "\u200a", "\u200b", "\u200c", "\u200d", "\u200e", "\u2028", "\u2029", "\u202a",
	"\u202f", "\u205f", "\u2060", "\u2064", "\u2065", "\u2066", "\u206f", "\u3000", "\ue000", "\uf8ff", "\ufeff", "\ufff9", "\ufffc", "\ufffd", "\ufffe", "\uffff",
	"\U000110bd", "\U000110cd", "\U00013430", "\U0001bca0", "\U0001d173", "\U000e0001", "\U000e007f", "\U000e0100", "\U000f0000", "\U0010fffd", "\U0010ffff",
}

func (g *Generator) controls() string {
	return g.join(10, func() string {
		if g.random.IntN(2) == 0 {
			return g.pick(controlCharacters)
		}
		return g.pick([]string{"a", "B", "word", "é", "中", ".", "un", "able"})
	})
}

var specialForms = []string{
	"[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[mask]", "[Mask]", "[MASK", "MASK]", "[[MASK]]", "[ MASK ]", "[MASKED]", "[CLS][SEP]",
	"[MÁSK]", "[MA\u200bSK]", "[MASK]\u0301", "[unused0]", "[unused99]", "[", "]", "##", "##a", "[SEP]s", "pre[SEP]post", "[MASK]中", "\u00a0[MASK]\n",
	"<mask>", "</s>", "<s>", "</S>", "yesterday", "Yesterday", "YESTERDAY", "café bar", "CAFÉ BAR", "new", "News", "x<mask>y", " <s> ", "  <s>\t\n",
}

func (g *Generator) specialTokens() string {
	return g.join(6, func() string {
		if g.random.IntN(3) == 0 {
			return g.pick(plainWords)
		}
		return g.pick(specialForms)
	})
}

// longWords are around 100 characters, before and after normalisation.
func (g *Generator) longWords() string {
	unit := g.pick([]string{"a", "ab", "é", "e\u0301", "ß", "я", "한", "한\u200b", "가", "İ", "ing", "the", "𐐀", "क्ष", "あ", "x\u00ad", "un", "\u1100\u1161", "2"})
	length := []int{50, 49, 33, 34, 98, 99, 100, 101, 102, 200}[g.random.IntN(10)]
	var text strings.Builder
	for n := 0; n < length; n += utf8.RuneCountInString(unit) {
		text.WriteString(unit)
	}
	for range g.random.IntN(4) {
		text.WriteString(g.pick([]string{"a", "s", "\u0301", "\u200d", ".", "é", "中"}))
	}
	return g.pick([]string{"", "a ", ".", "x"}) + text.String() + g.pick([]string{"", " b", "."})
}

func (g *Generator) punctuation() string {
	return g.join(12, func() string {
		switch g.random.IntN(5) {
		case 0:
			return g.between('!', '~')
		case 1:
			return g.between(0x2010, 0x205E)
		case 2:
			return g.pick([]string{"€", "£", "¢", "¥", "©", "®", "™", "°", "±", "×", "÷", "§", "¶", "¿", "¡", "«", "»", "„", "“", "…", "‰", "′",
				"、", "。", "「", "」", "〜", "・", "；", "\u037e", "\u0387", "\u1fef", "\u00b4", "`", "^", "~", "|", "$", "+", "<", "=", ">", "≠", "≮", "\u2329", "\u232a",
				"\u05be", "\u066a", "\u0964", "\u0e4f", "\u166d", "\u1bfc", "\u2cf9", "\u2e42", "\u2e43", "\u2e4f", "\u2e52", "\U00010fad", "\U00010f55", "\U0001144b", "\U0001e95e"})
		case 3:
			return g.pick(plainWords)
		}
		return g.between(0x2E00, 0x2E5D)
	})
}

func (g *Generator) casing() string {
	return g.join(8, func() string {
		switch g.random.IntN(8) {
		case 0:
			return g.between(0x10A0, 0x10FF)
		case 1:
			return g.between(0x1C80, 0x1CBF)
		case 2:
			return g.between(0x13A0, 0x13FD)
		case 3:
			return g.between(0xAB70, 0xABBF)
		case 4:
			return g.between(0xA722, 0xA7DC)
		case 5:
			return g.between(0x10400, 0x1044F)
		}
		return g.pick([]string{"İ", "I\u0307", "ı", "i\u0307", "ẞ", "ß", "ſ", "ΣΑΣ", "ΟΔΥΣΣΕΥΣ", "Σ", "ς", "ŉ", "ǅ", "ǆ", "Ǆ", "K", "Å", "Ω", "ﬁ", "ﬃ", "Ⅷ", "ⅷ", "Ⓐ", "ⓐ",
			"Ａ", "ａ", "Ԁ", "Ҁ", "Ѐ", "Ӑ", "Ȁ", "ΐ", "ᾳ", "ᾼ", "ᾈ", "ẚ", "Ꞌ", "Ɪ", "\U00010570", "\U000104B0", "\U00010C80", "\U000118A0", "\U00016E40", "\U0001E900", "𝐀", "𝒜", "ℝ", "ℂ"})
	})
}

func (g *Generator) hangul() string {
	return g.join(8, func() string {
		switch g.random.IntN(4) {
		case 0:
			return g.between(0xAC00, 0xD7A3)
		case 1:
			return g.between(0x1100, 0x1112) + g.between(0x1161, 0x1175)
		case 2:
			return g.between(0x3131, 0x318E)
		}
		return g.pick([]string{"한국어", "서울", "대한민국", "은", "는", "이", "가", "\ud7a3", "\ud7a4", "\u302e", "\u302f"})
	})
}

func (g *Generator) emoji() string {
	return g.join(6, func() string {
		switch g.random.IntN(3) {
		case 0:
			return g.between(0x1F300, 0x1FAFF)
		case 1:
			return g.pick(plainWords)
		}
		return g.pick([]string{"👨‍👩‍👧‍👦", "❤️", "🏳️‍🌈", "🇩🇪", "👍🏽", "1️⃣", "☃︎", "🏴\U000E0067\U000E0062\U000E007F", "🫠", "🪿", "\u20e3", "\ufe0f", "\u200d"})
	})
}

// mutated is plain text in which a few places were changed.
func (g *Generator) mutated() string {
	text := []rune(g.words() + g.words())
	for range 1 + g.random.IntN(4) {
		var change string
		switch g.random.IntN(6) {
		case 0:
			change = g.pick(controlCharacters)
		case 1:
			change = g.between(0x300, 0x36F)
		case 2:
			change = g.pick(specialForms)
		case 3:
			change = g.planes()
		case 4:
			change = g.punctuation()
		}
		at := g.random.IntN(len(text) + 1)
		end := min(len(text), at+g.random.IntN(3))
		text = append(text[:at:at], append([]rune(change), text[end:]...)...)
	}
	return string(text)
}
