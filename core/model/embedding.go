package model

// embeddingStage makes the hidden states h of the token ids; its units are
// blocks of rows.
var embeddingStage = stage{
	begin: func(r *Run, _ *task) { r.beginInput(0) },
	unit:  (*Run).embed,
	units: (*Run).tokenBlocks,
	cost:  (*Run).rowwiseCost,
}

// embed fills a block of rows of h with the embedding:
// LayerNorm((word[id] + token_type[0]) + position[t]) (BertEmbeddings in the
// reference code). ids and positions are per row.
func (r *Run) embed(_ *scratch, _ *task, block int) {
	first, last := span(block, r.block, len(r.ids))
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

// rowwiseCost is that of a sum and a LayerNorm over a block of rows.
func (r *Run) rowwiseCost(*task) float64 {
	return 10 * float64(r.model.config.HiddenSize) * float64(r.block)
}
