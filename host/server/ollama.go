package server

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"m2embed/core"
)

// The part of Ollama's API that makes embeddings.

// The forms of POST /api/embed and /api/embeddings.
var (
	ollamaForm       = form{"input", ollamaMember}
	ollamaPromptForm = form{"prompt", ollamaMember}
)

// ollamaMember reads a member of POST /api/embed and /api/embeddings. As in
// Ollama, others are ignored.
func ollamaMember(r *requestReader, name string) error {
	switch name {
	case "input", "prompt":
		return r.readInput()
	case "model":
		given, err := r.text(name)
		r.model = strings.TrimSuffix(given, ":latest")
		r.modelGiven = r.model != ""
		return err
	case "truncate":
		return r.truncate(name)
	case "dimensions":
		var err error
		r.options.Dimensions, err = r.number(name)
		return err
	case "task": // beyond Ollama
		return r.task(name)
	}
	return r.json.SkipValue()
}

// ollamaEmbed answers POST /api/embed. Vectors have unit length.
func (s *Server) ollamaEmbed(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	results, place, err := s.ollamaVectors(w, r, ollamaForm, core.Yes)
	if err != nil {
		return err
	}
	defer place.leave()
	tokens := 0
	for _, e := range results {
		tokens += e.Tokens
	}
	patience(w)
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 1<<16)
	name, err := json.Marshal(place.use.of.Name)
	if err != nil {
		panic(err) // a string
	}
	fmt.Fprintf(out, `{"model":%s,"embeddings":`, name)
	writeVectors(out, results)
	fmt.Fprintf(out, `,"total_duration":%d,"load_duration":0,"prompt_eval_count":%d}`, time.Since(began), tokens)
	flush(out)
	return nil
}

// ollamaEmbedding answers POST /api/embeddings, with one vector.
func (s *Server) ollamaEmbedding(w http.ResponseWriter, r *http.Request) error {
	results, place, err := s.ollamaVectors(w, r, ollamaPromptForm, core.ModelDefault)
	if err != nil {
		return err
	}
	defer place.leave()
	if len(results) != 1 {
		return invalid("prompt", "prompt is %d texts, want one; /api/embed takes more", len(results))
	}
	patience(w)
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriter(w)
	out.WriteString(`{"embedding":`)
	out.Write(appendNumbers(nil, results[0].Vector))
	out.WriteString("}")
	flush(out)
	return nil
}

func (s *Server) ollamaVectors(w http.ResponseWriter, r *http.Request, f form, normalize core.Choice) ([]core.Embedding, *admission, error) {
	place, request, err := s.read(w, r, f)
	if err != nil {
		return nil, nil, err
	}
	request.options.Normalize = normalize
	results, err := s.run(r.Context(), place.use, request.inputs, request.options)
	if err != nil {
		place.leave()
		return nil, nil, err
	}
	return results, place, nil
}

// ollamaDetails describes the model as Ollama does.
func (s *Server) ollamaDetails() map[string]any {
	return map[string]any{
		"parent_model": "", "format": "safetensors", "family": "m2-bert", "families": []string{"m2-bert"},
		"parameter_size": "", "quantization_level": "",
	}
}

// ollamaTags answers GET /api/tags.
func (s *Server) ollamaTags(w http.ResponseWriter, _ *http.Request) {
	models := []map[string]any{}
	for _, m := range s.loader.models {
		for _, name := range m.names() {
			models = append(models, map[string]any{
				"name": name, "model": name, "modified_at": s.started.UTC().Format(time.RFC3339), "size": 0,
				"digest": fmt.Sprintf("%x", sha256.Sum256([]byte(m.Name))), "details": s.ollamaDetails(),
			})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": models})
}

// ollamaShow answers POST /api/show.
func (s *Server) ollamaShow(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Model string `json:"model"`
		Name  string `json:"name"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if asked.Model == "" {
		asked.Model = asked.Name
	}
	if asked.Model == "" {
		return invalid("model", "model is missing")
	}
	if err := s.open(r.Context(), place, strings.TrimSuffix(asked.Model, ":latest"), s.pick); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"modelfile": "", "parameters": "", "template": "", "details": s.ollamaDetails(),
		"model_info": map[string]any{
			"general.architecture":     "m2-bert",
			"m2-bert.context_length":   place.use.config.MaxLength(),
			"m2-bert.embedding_length": place.use.config.HiddenSize,
		},
		"capabilities": []string{"embedding"}, "modified_at": s.started.UTC().Format(time.RFC3339),
	})
	return nil
}

// ollamaVersion answers GET /api/version with the version of the API.
func (s *Server) ollamaVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"version": apiVersions.ollama})
}
