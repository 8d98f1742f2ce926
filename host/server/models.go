package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host"
)

// Model is what is served: a *host.Model. One that has Trim is told when it was
// idle for a while; one that has Close is closed when it is unloaded.
type Model interface {
	EmbedInputs(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error)
	Tokenizer() *tokenizer.Tokenizer // nil: token ids only
	Config() model.Config
	Info() host.Info
}

// Source is a model by its name, which is opened when it is first asked for.
type Source struct {
	Name    string   // as requests name it
	Aliases []string // other names that requests may use
	// Open opens the model. It is called again after the model was unloaded, and
	// never twice at a time.
	Open func() (Model, error)
}

// loader opens models when they are asked for, and closes them when nobody has
// asked for a while.
type loader struct {
	models []*served     // the first is the one that requests mean that name none
	after  time.Duration // for which a model is idle before it is unloaded; 0 for ever
	// changed is told what was opened and unloaded, and why not.
	changed  func(name, what string, err error)
	openings sync.WaitGroup

	mu   sync.Mutex
	open int // models
}

// served is a model of the loader, which has its mutex.
type served struct {
	Source
	speed   *speed // in the queue
	model   Model  // nil while it is not open
	known   *known // nil before it was opened
	attempt *attempt
	users   int       // it stays open for them
	idle    time.Time // since users is 0
	timer   *time.Timer
}

// known is what lists say of a model, also when it is unloaded.
type known struct {
	config model.Config
	info   host.Info
}

// attempt is the opening of a model, for which all wait that ask for it.
type attempt struct {
	done chan struct{}
	err  error // once done is closed
}

// restAfter is how long a model is idle before memory is given back that it
// keeps to make later calls faster.
const restAfter = 5 * time.Second

func newLoader(sources []Source, after time.Duration) *loader {
	l := &loader{after: after, changed: func(string, string, error) {}}
	for _, source := range sources {
		l.models = append(l.models, &served{Source: source, speed: &speed{}})
	}
	return l
}

// names are those by which requests may call a model.
func (m *served) names() []string { return append([]string{m.Name}, m.Aliases...) }

// find returns the model of a name, or nil.
func (l *loader) find(name string) *served {
	for _, m := range l.models {
		if slices.Contains(m.names(), name) {
			return m
		}
	}
	return nil
}

// names are those of all models, aliases included.
func (l *loader) names() []string {
	var names []string
	for _, m := range l.models {
		names = append(names, m.names()...)
	}
	return names
}

// use is a model that stays open until release.
type use struct {
	Model
	config model.Config
	of     *served
	loader *loader
}

// acquire returns a model, which is opened if it is not.
//
// # Errors
//
// A *loadError of a model that cannot be opened; that of ctx.
func (l *loader) acquire(ctx context.Context, m *served) (*use, error) {
	l.mu.Lock()
	m.users++ // those who wait for it, too
	if m.model == nil && m.attempt == nil {
		m.attempt = &attempt{done: make(chan struct{})}
		l.openings.Add(1)
		go l.try(m, m.attempt)
	}
	opening := m.attempt
	l.mu.Unlock()
	if opening != nil {
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-opening.done:
			err = opening.err
		}
		if err != nil {
			l.release(m)
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &use{m.model, m.known.config, m, l}, nil
}

// try opens a model.
func (l *loader) try(m *served, a *attempt) {
	defer l.openings.Done()
	opened, err := m.open()
	l.changed(m.Name, "opened", err)
	l.mu.Lock()
	if m.attempt = nil; err == nil {
		m.model, m.known = opened, &known{opened.Config(), opened.Info()}
		l.open++
		if m.users == 0 { // all have left
			l.rest(m)
		}
	} else {
		a.err = &loadError{m.Name, err}
	}
	close(a.done)
	l.mu.Unlock()
}

// open turns a panic into an error.
func (m *served) open() (opened Model, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v: %s", fault, debug.Stack())
		}
	}()
	return m.Open()
}

// release ends a use.
func (u *use) release() { u.loader.release(u.of) }

func (l *loader) release(m *served) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.users--; m.users == 0 && m.model != nil {
		l.rest(m)
	}
}

// rest notes that a model is idle from now on.
func (l *loader) rest(m *served) {
	m.idle = time.Now()
	next := restAfter
	if l.after > 0 {
		next = min(next, l.after)
	}
	if m.timer == nil {
		m.timer = time.AfterFunc(next, func() { l.rested(m) })
	} else {
		m.timer.Reset(next)
	}
}

// rested gives back the memory of a model that is idle: first what it keeps
// for later calls, in the end all.
func (l *loader) rested(m *served) {
	l.mu.Lock()
	idle := time.Since(m.idle)
	if m.model == nil || m.users > 0 {
		l.mu.Unlock()
		return
	}
	if l.after > 0 && idle >= l.after {
		leaves := m.model
		m.model = nil
		l.open--
		l.mu.Unlock()
		l.close(m.Name, leaves)
		debug.FreeOSMemory()
		return
	}
	if l.after > 0 {
		m.timer.Reset(l.after - idle)
	}
	trims := m.model
	l.mu.Unlock()
	if t, ok := trims.(interface{ Trim() }); ok {
		t.Trim() // which a call that begins meanwhile does not mind
	}
	debug.FreeOSMemory()
}

// close closes a model that nobody uses any more.
func (l *loader) close(name string, m Model) {
	var err error
	if c, ok := m.(io.Closer); ok {
		err = c.Close()
	}
	l.changed(name, "unloaded", err)
}

// closeAll closes all models. None is in use or asked for any more.
func (l *loader) closeAll() {
	l.openings.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.models {
		if m.timer != nil {
			m.timer.Stop()
		}
		if m.model != nil {
			l.close(m.Name, m.model)
			m.model = nil
			l.open--
		}
	}
}

// about is what is known of a model, nil before it was opened, and whether it is open now.
func (l *loader) about(m *served) (*known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.known, m.model != nil
}

// loaded is the number of models that are open.
func (l *loader) loaded() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// loadError says that a model cannot be opened.
type loadError struct {
	name string
	err  error
}

func (e *loadError) Error() string {
	// Paths are for the log.
	why := "the server's log says why"
	if errors.Is(e.err, fs.ErrNotExist) {
		why = "its files are not there any more"
	}
	return fmt.Sprintf("the model %q cannot be opened: %s", e.name, why)
}

func (e *loadError) Unwrap() error { return e.err }

// plainly is an error for whoever runs the server, paths included.
func plainly(err error) error {
	if e := (*loadError)(nil); errors.As(err, &e) {
		return e.err
	}
	return err
}
