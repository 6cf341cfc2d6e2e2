package engine

// Model is what the engine needs of a graph with a KV cache. Only the engine's loop calls it, one call at a time.
type Model interface {
	// Info describes the model; it never changes.
	Info() ModelInfo
	// Forward runs one batch. A batch is either decode rows (one token each, in adjacent slots) or one row of several tokens. The
	// result is valid until the next call.
	Forward(b *Batch) (Logits, error)
	// Copy copies the KV rows of the first n tokens of slot src to slot dst.
	Copy(dst, src, n int) error
	// Close frees the model. No call may follow.
	Close() error
}

// ModelInfo is what a Model says of itself: its size, and what it cannot do, which the scheduler then does not ask for.
type ModelInfo struct {
	Vocab  int // size of a row of logits
	Slots  int // sequences that the KV memory holds
	MaxLen int // tokens a sequence may hold, prompt and answer together
	Chunk  int // most tokens of one row
	Logits int // most rows of logits that a row of several tokens can give; 1 rules speculation out

	// Rows is the most rows of one run; 0 is any number.
	Rows int
	// Whole: what runs together changes the answer, so a prompt is computed in one run, and none of it is taken from another's. Chunk is
	// MaxLen then.
	Whole bool
	// Wrap is how many tokens a slot holds before the KV rows of new ones take the place of old ones, which a window no longer reaches;
	// 0 is never. From then on no token can be taken back.
	Wrap int
}

// Batch is the input of one Forward.
type Batch struct {
	Rows []Row
	// Idle is how many tokens the slot behind the last row holds. A model that pads its batches may write behind them.
	Idle int
}

// Row is one sequence's part of a Batch.
type Row struct {
	Slot   int     // the row of KV memory
	Past   int     // tokens of the slot that are already computed; Tokens begin at this position
	Tokens []int32 // one for decode, a chunk of the prompt for prefill, the last token and a draft for verification
	Logits int     // of how many of the last Tokens logits are wanted: 0 in the middle of a prompt
}

// Logits are the unnormalised log-probabilities of next tokens, row-major [n, Vocab] float32: the rows of Batch.Rows[0], then those of
// Batch.Rows[1], and so on. Each says what follows the token it belongs to.
type Logits struct {
	Data  []float32
	Vocab int
}

// Row returns row i.
func (l Logits) Row(i int) []float32 { return l.Data[i*l.Vocab : (i+1)*l.Vocab] }
