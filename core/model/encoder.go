package model

// forward lists the stages of the pass in the order of the paper:
//
//	h = LayerNorm(word[id] + token_type[0] + position)
//	for each layer:
//	    k = W6·sin(freq·(W4·sin(freq·(W2·sin(freq·(W0·z + b0)) + b2)) + b4)) · exp(-t·|deltas|)
//	    y = conv(v·x1; k)·x2 + conv(h; k2)   x1, x2, v = short_filter(in_linear(h))
//	    m = out_linear(y)
//	    h = LayerNorm(m + wo(gelu(g1)·g2))   g1, g2 = gated_layers(m)
//	vector = pool(h)
//
// Each line is a stage, in the file of its subject.
func (r *Run) forward() {
	r.add(&embeddingStage, 0, allRows)
	for layer := range r.model.weights.layers {
		r.add(&mixerNormStage, layer, allRows)
		for _, rows := range r.parts(layer) {
			r.add(&filterStage, layer, rows)
			r.add(&mixerStage, layer, rows)
			r.addMLP(layer, rows)
		}
	}
	r.add(&poolStage, 0, allRows)
}

// parts says for which rows a layer runs. The last layer of a model that pools
// the first token runs for that row only: its convolutions are one sum each.
// Where spans are asked for, it runs for all rows behind that, so that the
// vector's bits are the same with and without.
func (r *Run) parts(layer int) []part {
	switch {
	case layer < len(r.model.weights.layers)-1 || !r.pooling.firstToken():
		return firstThenAll[1:]
	case r.spans:
		return firstThenAll[:]
	}
	return firstThenAll[:1]
}

var firstThenAll = [...]part{firstRows, allRows}

// part says which rows of the hidden states a stage makes.
type part uint8

const (
	allRows   part = iota
	firstRows      // the first of each sequence
)

// stage is a part of the forward pass that is cut into units, which are
// independent of each other and run on any thread in any order.
type stage struct {
	begin func(r *Run, x *task)                       // before the first unit; may be nil
	unit  func(r *Run, s *scratch, x *task, unit int) // one unit, on the thread whose scratch it is given
	end   func(r *Run, x *task)                       // after the last unit; may be nil
	units func(r *Run, x *task) int                   // how many; asked for the plan, and again after begin
	cost  func(r *Run, x *task) float64               // of a unit, in floating-point operations, roughly
}

// task is a stage at its place in a pass.
type task struct {
	stage *stage
	layer int
	part  part
	units int
	cost  float64
}

func (r *Run) add(s *stage, layer int, rows part) {
	r.tasks = append(r.tasks, task{stage: s, layer: layer, part: rows})
	x := &r.tasks[len(r.tasks)-1]
	x.cost = s.cost(r, x)
	r.count(x)
}

// drop takes the tasks from one on out of the pass again.
func (r *Run) drop(first int) {
	for _, x := range r.tasks[first:] {
		r.total -= float64(x.units) * x.cost
	}
	r.tasks = r.tasks[:first]
}

// count counts a task's units, and what they cost into the pass's total.
func (r *Run) count(x *task) {
	units := x.stage.units(r, x)
	r.total += float64(units-x.units) * x.cost
	x.units = units
}

// layer is the weights of a task's layer.
func (r *Run) layer(x *task) *layer { return &r.model.weights.layers[x.layer] }
