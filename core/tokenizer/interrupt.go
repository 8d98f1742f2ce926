package tokenizer

// askEvery is after how many bytes Options.Interrupt is asked: a few
// milliseconds of work.
const askEvery = 64 << 10

// interruption is the part of an encoder that ends it early.
type interruption struct {
	interrupt   func() error // nil: nobody asks
	interrupted error        // what it ended the encoding with
	left        int          // bytes of work before it is asked
	askAt       int          // the byte of the stretch in work at which that is
}

func (i *interruption) reset(interrupt func() error) {
	*i = interruption{interrupt: interrupt, left: askEvery}
	if interrupt == nil {
		i.left = noLimit / 2
	}
}

// begin and finish enclose the work on a stretch of bytes.
func (i *interruption) begin(first int) { i.askAt = first + i.left }
func (i *interruption) finish(last int) { i.left = max(0, i.askAt-last) }

// due is called at a byte that is not before askAt. It says whether the encoding
// ends early.
func (i *interruption) due(at int) bool {
	i.askAt = at + askEvery
	return i.ask()
}

func (i *interruption) ask() bool {
	if i.interrupted == nil && i.interrupt != nil {
		i.interrupted = i.interrupt()
	}
	return i.interrupted != nil
}
