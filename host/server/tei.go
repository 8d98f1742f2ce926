package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// The API of Hugging Face's Text Embeddings Inference, which huggingface_hub's
// InferenceClient speaks, too.

// The forms of POST /embed and POST /.
var (
	teiForm  = form{"inputs", teiMember}
	rootForm = form{"inputs", rootMember}
)

// teiMember reads a member of POST /embed. As in TEI, others are ignored.
func teiMember(r *requestReader, name string) error {
	switch name {
	case "inputs":
		return r.readInput()
	case "normalize":
		return r.normalize()
	case "truncate":
		return r.truncate(name)
	case "truncation_direction":
		direction, err := r.text(name)
		if err != nil {
			return err
		}
		switch strings.ToLower(direction) {
		case "", "right":
		case "left":
			r.cutLeft = true
		default:
			return invalid(name, "truncation_direction %q, want Left or Right", clip(direction))
		}
		return nil
	case "dimensions":
		var err error
		r.options.Dimensions, err = r.number(name)
		return err
	case "model": // beyond TEI
		r.modelAside = true
		if r.json.PeekKind() != '"' {
			return r.json.SkipValue()
		}
		var err error
		r.model, err = r.text(name)
		return err
	case "prompt_name":
		return r.task(name)
	}
	return r.json.SkipValue()
}

// rootMember reads a member of POST /. Hugging Face's clients send sentences to
// compare there, too.
func rootMember(r *requestReader, name string) error {
	if name == "inputs" && r.json.PeekKind() == '{' {
		return r.readComparison()
	}
	return teiMember(r, name)
}

// readComparison reads a sentence and those to compare it with.
func (r *requestReader) readComparison() error {
	value, err := r.json.ReadValue()
	if err != nil {
		return err
	}
	var asked comparison
	if err := json.Unmarshal(value, &asked); err != nil {
		return invalid("inputs", "inputs is an object, want a string, a list or one with source_sentence, a text, and sentences, a list of texts")
	}
	r.inputs, err = asked.inputs(r.most)
	r.input, r.comparison = true, true
	return err
}

// comparison is what POST /similarity asks for.
type comparison struct {
	Source    *text  `json:"source_sentence"`
	Sentences []text `json:"sentences"`
}

// inputs are the sentence and those that it is compared with, at most so many.
func (c comparison) inputs(most int) ([]core.Input, error) {
	switch {
	case c.Source == nil || len(c.Sentences) == 0:
		return nil, invalid("inputs", "inputs lacks source_sentence, a text, or sentences, a list of texts")
	case len(c.Sentences) >= most:
		return nil, coded(codeTooMany, "inputs", "%d sentences, want fewer than %d", len(c.Sentences), most)
	}
	return core.Texts(plain(append([]text{*c.Source}, c.Sentences...))...), nil
}

// cosines are those of the first vector with the others.
func cosines(results []core.Embedding) []float64 {
	scores := make([]float64, len(results)-1)
	for i := range scores {
		scores[i] = core.Cosine(results[0].Vector, results[i+1].Vector)
	}
	return scores
}

// truncate reads whether texts may be cut; null leaves it to the model.
func (r *requestReader) truncate(name string) error {
	kind, err := r.kind()
	if err != nil {
		return err
	}
	switch kind {
	case 'f':
		r.options.Truncation = tokenizer.Refuse
	case 't', 'n':
	default:
		return invalid(name, "%s is %s, want true or false", name, nameOf(kind))
	}
	_, err = r.json.ReadToken()
	return err
}

// teiEmbed answers POST /embed.
func (s *Server) teiEmbed(w http.ResponseWriter, r *http.Request) error {
	return s.teiAnswer(w, r, teiForm)
}

// teiRoot answers POST /.
func (s *Server) teiRoot(w http.ResponseWriter, r *http.Request) error {
	return s.teiAnswer(w, r, rootForm)
}

func (s *Server) teiAnswer(w http.ResponseWriter, r *http.Request, f form) error {
	place, request, err := s.read(w, r, f)
	if err != nil {
		return err
	}
	defer place.leave()
	if request.options.Normalize == core.ModelDefault && !request.comparison {
		request.options.Normalize = core.Yes // TEI's default
	}
	u := place.use
	if err := request.cut(u); err != nil {
		return err
	}
	results, err := s.run(r.Context(), u, request.inputs, request.options)
	if err != nil {
		return err
	}
	patience(w)
	if request.comparison {
		writeJSON(w, http.StatusOK, cosines(results))
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 1<<16)
	writeVectors(out, results)
	flush(out)
	return nil
}

// writeVectors writes a list of vectors.
func writeVectors(out *bufio.Writer, results []core.Embedding) {
	line := []byte{'['}
	for i, e := range results {
		if i > 0 {
			line = append(line, ',')
		}
		out.Write(appendNumbers(line, e.Vector))
		line = line[:0]
	}
	out.Write(append(line, ']'))
}

// flush ends a response. Errors are the client's and end the connection, since
// the status is out by then.
func flush(out *bufio.Writer) {
	if err := out.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// limit is the number of tokens that a request's texts may have.
func (u *use) limit(o core.Options) int {
	if o.MaxLength > 0 {
		return min(o.MaxLength, u.config.MaxLength())
	}
	return u.config.MaxLength()
}

// cut makes ids of texts that are too long and to be cut at their beginning:
// [CLS] and the last tokens.
func (r *request) cut(u *use) error {
	if !r.cutLeft || r.options.Truncation == tokenizer.Refuse {
		return nil
	}
	t, limit := u.Tokenizer(), u.limit(r.options)
	if t == nil {
		return errIDsOnly
	}
	prompt, err := u.config.Prompt(r.options.Task)
	if err != nil {
		return err
	}
	for i := range r.inputs {
		ids := r.inputs[i].IDs
		if ids == nil {
			if ids, _, err = t.AppendIDs(nil, prompt+r.inputs[i].Text, tokenizer.Options{}); err != nil {
				return &core.InputError{Index: i, Err: err}
			}
		}
		if len(ids) > limit && limit > 1 {
			r.inputs[i] = core.Input{IDs: append([]int32{ids[0]}, ids[len(ids)-limit+1:]...)}
		}
	}
	return nil
}

// errIDsOnly is for models that were opened without a tokenizer.
var errIDsOnly = invalid("", "this model was opened without a tokenizer: it takes token ids only")

// mostStates bounds the tokens of POST /embed_all, each of which gets a vector.
const mostStates = 8192

// teiStates answers POST /embed_all with a vector for each token. Unlike TEI's
// they have unit length.
func (s *Server) teiStates(w http.ResponseWriter, r *http.Request) error {
	place, request, err := s.read(w, r, teiForm)
	if err != nil {
		return err
	}
	defer place.leave()
	u := place.use
	if err := request.cut(u); err != nil {
		return err
	}
	prompt, err := u.config.Prompt(request.options.Task)
	if err != nil {
		return err
	}
	tokens, limit := 0, u.limit(request.options)
	for i := range request.inputs {
		in := &request.inputs[i]
		if in.IDs == nil {
			if u.Tokenizer() == nil {
				return errIDsOnly
			}
			in.IDs, _, err = u.Tokenizer().AppendIDs(nil, prompt+in.Text, tokenizer.Options{MaxLength: limit, Truncation: request.options.Truncation})
			if err != nil {
				return &core.InputError{Index: i, Err: err}
			}
		}
		if tokens += len(in.IDs); tokens > mostStates {
			return &apiError{status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", param: "inputs",
				message: "the inputs have more than 8192 tokens together, each of which would get a vector: send fewer"}
		}
		for k := range in.IDs {
			in.Spans = append(in.Spans, core.Span{Start: k, End: k + 1})
		}
	}
	results, err := s.run(r.Context(), u, request.inputs, request.options)
	if err != nil {
		return err
	}
	patience(w)
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 1<<16)
	for i, e := range results {
		out.WriteByte("[,"[min(i, 1)])
		states := make([]core.Embedding, len(e.Spans))
		for k, span := range e.Spans {
			states[k].Vector = span.Vector
		}
		writeVectors(out, states)
	}
	out.WriteByte(']')
	flush(out)
	return nil
}

// decode reads a small request.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, into any) (*admission, error) {
	place, body, err := s.receive(w, r)
	if err != nil {
		return nil, err
	}
	if err := readValue(body, into); err != nil {
		place.leave()
		return nil, err
	}
	s.received(w, place, body)
	return place, nil
}

// teiSimilarity answers POST /similarity with the cosine of each sentence's
// vector with that of the first one.
func (s *Server) teiSimilarity(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Inputs comparison `json:"inputs"`
		Model  aside      `json:"model"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if err := s.open(r.Context(), place, string(asked.Model), s.pickAside); err != nil {
		return err
	}
	inputs, err := asked.Inputs.inputs(s.options.BatchLimit)
	if err != nil {
		return err
	}
	results, err := s.run(r.Context(), place.use, inputs, core.Options{})
	if err != nil {
		return err
	}
	patience(w)
	writeJSON(w, http.StatusOK, cosines(results))
	return nil
}

// text is a string that may not be null, which Go reads as an empty one.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		return invalid("", "%s in place of a text", clip(string(data)))
	}
	return json.Unmarshal(data, (*string)(t))
}

func plain(texts []text) []string {
	strings := make([]string, len(texts))
	for i, t := range texts {
		strings[i] = string(t)
	}
	return strings
}

// oneOrMore is a JSON value or a list of such.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(l))
	}
	var one T
	err := json.Unmarshal(data, &one)
	*l = oneOrMore[T]{one}
	return err
}

// teiTokenize answers POST /tokenize. start and stop count bytes.
func (s *Server) teiTokenize(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Inputs  oneOrMore[text] `json:"inputs"`
		Special *bool           `json:"add_special_tokens"`
		Model   aside           `json:"model"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if err := s.open(r.Context(), place, string(asked.Model), s.pickAside); err != nil {
		return err
	}
	t := place.use.Tokenizer()
	switch {
	case t == nil:
		return errIDsOnly
	case len(asked.Inputs) == 0:
		return invalid("inputs", "inputs is missing: a text or a list of texts")
	}
	type token struct {
		ID      int32  `json:"id"`
		Text    string `json:"text"`
		Special bool   `json:"special"`
		Start   *int   `json:"start"`
		Stop    *int   `json:"stop"`
	}
	o := tokenizer.Options{Offsets: true, Interrupt: r.Context().Err, WithoutSpecialTokens: asked.Special != nil && !*asked.Special}
	all := make([][]token, len(asked.Inputs))
	for i, text := range plain(asked.Inputs) {
		e, err := t.Encode(text, o)
		if err != nil {
			return &core.InputError{Index: i, Err: err}
		}
		all[i] = make([]token, len(e.IDs))
		for k, id := range e.IDs {
			all[i][k] = token{ID: id, Text: t.Token(id), Special: true}
			if at := e.Offsets[k]; at.End > 0 {
				all[i][k] = token{ID: id, Text: strings.ToValidUTF8(text[at.Start:at.End], "\uFFFD"), Start: &at.Start, Stop: &at.End}
			}
		}
	}
	patience(w)
	writeJSON(w, http.StatusOK, all)
	return nil
}

// teiDecode answers POST /decode.
func (s *Server) teiDecode(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		IDs   json.RawMessage `json:"ids"`
		Skip  *bool           `json:"skip_special_tokens"`
		Model aside           `json:"model"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if err := s.open(r.Context(), place, string(asked.Model), s.pickAside); err != nil {
		return err
	}
	t := place.use.Tokenizer()
	if t == nil {
		return errIDsOnly
	}
	var one []whole
	var rows [][]whole
	if json.Unmarshal(asked.IDs, &one) == nil && len(one) > 0 {
		rows = [][]whole{one}
	} else if json.Unmarshal(asked.IDs, &rows) != nil || len(rows) == 0 || slices.ContainsFunc(rows, func(row []whole) bool { return row == nil }) {
		return invalid("ids", "ids is not a list of token ids nor a list of such lists")
	}
	texts := make([]string, len(rows))
	for i, row := range rows {
		ids := make([]int32, len(row))
		for k, id := range row {
			if ids[k] = int32(id); id < 0 || int(id) >= t.VocabularySize() {
				return invalid("ids", "row %d, token %d is %d, but the vocabulary ends at %d", i, k, id, t.VocabularySize()-1)
			}
		}
		texts[i] = t.Decode(ids, asked.Skip == nil || *asked.Skip)
	}
	patience(w)
	writeJSON(w, http.StatusOK, texts)
	return nil
}

// aside is a string in a member that the API does not have: others are ignored.
type aside string

func (a *aside) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		return nil
	}
	return json.Unmarshal(data, (*string)(a))
}

// teiInfo answers GET /info about the first model, and lists the others.
func (s *Server) teiInfo(w http.ResponseWriter, r *http.Request) {
	u, err := s.loader.acquire(r.Context(), s.loader.models[0])
	if err != nil {
		writeError(w, r, s.classify(r, err))
		return
	}
	defer u.release()
	pooling := "cls"
	if p := u.config.Pooling; p == model.PoolMean || p == model.PoolMeanHidden {
		pooling = "mean"
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"model_id": u.of.Name, "model_sha": nil, "model_dtype": "float32",
		"model_type":              map[string]any{"embedding": map[string]string{"pooling": pooling}},
		"max_concurrent_requests": s.queue.limits.requests, "max_input_length": u.config.MaxLength(),
		"max_batch_tokens": s.options.PassTokens, "max_batch_requests": nil, "max_client_batch_size": s.options.BatchLimit,
		"auto_truncate": true, "tokenization_workers": 1, "version": apiVersions.tei, "sha": nil, "docker_label": nil,
		"models": s.loader.names(),
	})
}

// apiVersions are those of the APIs that the server's routes are after.
var apiVersions = struct{ tei, ollama string }{"1.8.0", "0.12.0"}
