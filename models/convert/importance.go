package convert

// afterNorm is how much the columns of a matrix count when it is rounded whose input a norm makes: nil where all count the same,
// or where nothing is searched for. Normalized values are of the same size, so an error in a column grows with the norm's weight,
// and its square with the weight's. No text is needed to know it.
func (w *writer) afterNorm(norm *tensor, bits int) []float32 {
	if w.failed != nil || w.nearest || bits != 4 {
		return nil
	}
	values, err := norm.values()
	if err != nil {
		w.note(err)
		return nil
	}
	for i, v := range values {
		values[i] = v * v
	}
	return values
}
