package server

import (
	"fmt"

	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// check compares a request with its model.
func (r *request) check(u *use) error {
	c := u.config
	switch {
	case r.options.MaxLength > c.MaxLength():
		return invalid("max_length", "max_length is %d, but the model takes at most %d tokens", r.options.MaxLength, c.MaxLength())
	case r.options.Padding.Mode == model.PadToLength && r.options.Padding.Length > c.MaxLength():
		return invalid("padding", "padding is %d, but the model takes at most %d tokens", r.options.Padding.Length, c.MaxLength())
	}
	if err := c.CheckDimensions(r.options.Dimensions); err != nil {
		return invalid("dimensions", "%v", err)
	}
	if err := r.checkTask(c); err != nil {
		return err
	}
	for i, in := range r.inputs {
		if in.IDs == nil {
			continue
		}
		if why := r.foreign(in.IDs, c, u.Tokenizer()); why != "" {
			return invalid("input", "input %d is token ids %s. Ids of another tokenizer would give a wrong vector: send texts "+
				"(in LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)), or ids of this model's tokenizer with its special tokens", i, why)
		}
	}
	return nil
}

// otherTasks are what hosted APIs call the tasks of a query and of a document.
var otherTasks = map[string]string{
	"search_query": model.TaskQuery, "retrieval.query": model.TaskQuery,
	"search_document": model.TaskDocument, "retrieval.passage": model.TaskDocument, "passage": model.TaskDocument,
}

// checkTask finds the task by the model's own name for it.
func (r *request) checkTask(c model.Config) error {
	if name, known := otherTasks[r.options.Task]; known {
		if _, own := c.Prompts[r.options.Task]; !own {
			r.options.Task = name
		}
	}
	if _, err := c.Prompt(r.options.Task); err != nil {
		return invalid(r.taskMember, "%s: %v", r.taskMember, err)
	}
	return nil
}

// foreign says why ids cannot come from the model's tokenizer, or "". Clients of
// OpenAI's API send those of its own tokenizers, LangChain's by default, and
// most of these are ids here, too, of something else.
func (r *request) foreign(ids []int32, c model.Config, t *tokenizer.Tokenizer) string {
	size := c.VocabSize
	if t != nil {
		size = min(size, t.VocabularySize())
	}
	for i, id := range ids {
		if id < 0 || int(id) >= size {
			return fmt.Sprintf("of which token %d is %d, but the vocabulary ends at %d", i, id, size-1)
		}
	}
	if t == nil || len(ids) == 0 {
		return ""
	}
	first, last := t.ClassID(), t.SeparatorID()
	if first >= 0 && ids[0] != first {
		return fmt.Sprintf("that begin with %d, not with [CLS], %d", ids[0], first)
	}
	limit := c.MaxLength()
	if r.options.MaxLength != 0 {
		limit = r.options.MaxLength
	}
	cut := r.options.Truncation == tokenizer.DropSeparator && len(ids) == limit
	if end := ids[len(ids)-1]; last >= 0 && end != last && !cut {
		return fmt.Sprintf("that end with %d, not with [SEP], %d", end, last)
	}
	return ""
}
