package engine

// Model is what the engine needs of a graph with a KV cache. Only the engine's loop calls it, one call at a time.
type Model interface {
	// Info describes the model; it never changes.
	Info() ModelInfo
	// Forward runs one batch and returns one row of logits a batch row. The result is valid until the next call. A batch
	// is either decode rows (one token each, slots 0..n-1 in order) or one prefill row.
	Forward(b *Batch) (Logits, error)
	// Copy copies the KV rows of the first n tokens of slot src to slot dst.
	Copy(dst, src, n int) error
	// Close frees the model. No call may follow.
	Close() error
}

// ModelInfo is what a Model says of itself.
type ModelInfo struct {
	Vocab  int // size of a row of logits
	Slots  int // sequences that the KV memory holds
	MaxLen int // tokens a sequence may hold, prompt and answer together
	Chunk  int // most tokens of one row
}

// Batch is the input of one Forward.
type Batch struct {
	Rows []Row
}

// Row is one sequence's part of a Batch.
type Row struct {
	Slot   int     // the row of KV memory
	Past   int     // tokens of the slot that are already computed; Tokens begin at this position
	Tokens []int32 // one for decode, a chunk of the prompt for prefill
}

// Logits are the unnormalised log-probabilities of the next token, row-major [rows, vocab] float32: row i belongs to the
// last token of Batch.Rows[i].
type Logits struct {
	Data  []float32
	Vocab int
}

// Row returns row i.
func (l Logits) Row(i int) []float32 { return l.Data[i*l.Vocab : (i+1)*l.Vocab] }
