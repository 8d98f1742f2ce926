package core

import "m2embed/core/model"

// Cosine is the cosine of the angle between two vectors of one length, −1 to 1,
// and 0 where one of them is zero. Sums are in float64.
func Cosine(a, b []float32) float64 { return model.Cosine(a, b) }
