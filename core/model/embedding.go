package model

// embed fills rows first ≤ t < last of the hidden states h with the embedding:
// LayerNorm((word[id] + token_type[0]) + position[t]) (BertEmbeddings in the
// reference code). ids and positions are per row.
func (r *Run) embed(first, last int) {
	w := &r.model.weights
	for t := first; t < last; t++ {
		row := r.hiddenRow(t)
		clear(row)
		w.words.add(row, int(r.ids[t]))
		for c, v := range w.tokenType {
			row[c] += v
		}
		if w.positions.rows > 0 {
			w.positions.add(row, int(r.position[t]))
		}
		r.model.set.LayerNorm(row, row, nil, w.norm.weight, w.norm.bias, r.model.config.LayerNormEps)
	}
	d := r.model.config.HiddenSize
	r.record("embeddings", 0, first, 0, last-first, d, r.hidden[first*d:], d)
	r.quantizeInput(0, first, last-first)
}
