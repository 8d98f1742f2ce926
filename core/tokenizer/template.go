package tokenizer

import "fmt"

// templateItem is a special token of the template.
type templateItem struct {
	token string
	id    int32
	hasID bool // else the id stands in special_tokens
}

// readPostProcessor takes TemplateProcessing or BertProcessing, of which only
// the part for a single text matters.
func (f *file) readPostProcessor(d jsonReader) error {
	f.templateIDs = make(map[string][]int32)
	var class, separator templateItem
	var single []templateItem
	textAt := -1
	err := readTyped(d, &f.postProcessor, func(name string) (bool, error) {
		switch name {
		case "single":
			return true, d.array(func(i int) error {
				item, isText, err := readTemplateItem(d)
				switch {
				case err != nil:
					return err
				case isText && textAt >= 0:
					return fmt.Errorf("the text stands in the template twice")
				case isText:
					textAt = len(single)
				case len(single) == 2*maxTemplate:
					return errTemplate
				default:
					single = append(single, item)
				}
				return nil
			})
		case "special_tokens":
			return true, d.object(func(token string) error { return f.readTemplateIDs(d, token) })
		case "cls":
			return true, readTokenPair(d, &class)
		case "sep":
			return true, readTokenPair(d, &separator)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	switch f.postProcessor {
	case "TemplateProcessing":
		if textAt < 0 {
			return fmt.Errorf("single: the template has no place for the text")
		}
		f.prefix, f.suffix = single[:textAt], single[textAt:]
	case "BertProcessing":
		if !class.hasID || !separator.hasID {
			return fmt.Errorf(`BertProcessing without "cls" and "sep"`)
		}
		f.prefix, f.suffix = []templateItem{class}, []templateItem{separator}
	}
	return nil
}

// readTemplateItem takes {"SpecialToken": {"id": …}} or {"Sequence": {"id": "A"}}.
func readTemplateItem(d jsonReader) (item templateItem, isText bool, err error) {
	err = d.object(func(name string) error {
		if name != "SpecialToken" && name != "Sequence" {
			return fmt.Errorf("want SpecialToken or Sequence")
		}
		isText = name == "Sequence"
		return d.object(func(name string) error {
			if name == "id" {
				return d.string(&item.token)
			}
			return d.SkipValue()
		})
	})
	if err == nil && isText && item.token != "A" {
		err = fmt.Errorf("sequence %s in the template for one text, want A", shorten(item.token))
	}
	return item, isText, err
}

// readTemplateIDs takes an entry of special_tokens: {"id": "[CLS]", "ids": [101], …}.
func (f *file) readTemplateIDs(d jsonReader, token string) error {
	var ids []int32
	err := d.object(func(name string) error {
		if name != "ids" {
			return d.SkipValue()
		}
		return d.array(func(int) error {
			if len(ids) == maxTemplate {
				return errTemplate
			}
			var id int
			err := d.count(&id)
			ids = append(ids, int32(id))
			return err
		})
	})
	if f.templateIDs[token] = ids; len(f.templateIDs) > 2*maxTemplate {
		return errTemplate
	}
	return err
}

// readTokenPair takes ["[CLS]", 101].
func readTokenPair(d jsonReader, item *templateItem) error {
	return d.array(func(i int) error {
		switch i {
		case 0:
			return d.string(&item.token)
		case 1:
			var id int
			err := d.count(&id)
			item.id, item.hasID = int32(id), true
			return err
		}
		return fmt.Errorf("want a token and its id")
	})
}

// maxTemplate is how many special tokens a text may get on either side, where BERT's
// get one: a template may repeat long lists of them.
const maxTemplate = 1024

var errTemplate = fmt.Errorf("more than %d special tokens on one side of a text", maxTemplate)

// resolve returns the ids of template items.
func (f *file) resolve(items []templateItem) ([]int32, error) {
	var ids []int32
	for _, item := range items {
		special, ok := f.templateIDs[item.token]
		if item.hasID {
			special, ok = []int32{item.id}, true
		}
		if !ok {
			return nil, fmt.Errorf("post_processor: %s is in the template, but not in special_tokens", shorten(item.token))
		}
		if len(ids)+len(special) > maxTemplate {
			return nil, fmt.Errorf("post_processor: %w", errTemplate)
		}
		ids = append(ids, special...)
	}
	return ids, nil
}
