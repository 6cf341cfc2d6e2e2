package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Model is how a loaded model stands.
type Model struct {
	Name             string
	Running, Waiting int   // sequences; one whose prompt is read runs
	SlotTokens       []int // tokens whose KV rows each slot holds; the first Running slots are in use, the others keep what may be used again
	MaxLen           int   // tokens that a slot may hold
	Bytes            int64 // what it takes, KV memory included
	Limit            int64 // what all models may take; 0 is unknown
	Steps            uint64
	StepSeconds      float64

	Between Histogram // time between two tokens of an answer, in seconds
}

// Histogram is a histogram that is counted elsewhere.
type Histogram struct {
	Bounds []float64 // upper ones, rising
	Counts []uint64  // of each bound, not added up; one more for what is above the last
	Sum    float64
}

// Count returns how many observations it has.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// stateCollector tells how the loaded models stand at the moment it is asked.
type stateCollector struct{ models func() []Model }

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, append([]string{labelModel}, labels...), nil)
}

var (
	descRunning     = description("num_requests_running", "Sequences that hold a slot.")
	descWaiting     = description("num_requests_waiting", "Requests that wait for a slot.")
	descKV          = description("kv_cache_usage_perc", "Share of the KV memory that running sequences use, 0 to 1.")
	descSlots       = description("num_slots", "Sequences that may run at once.")
	descMaxLen      = description("max_model_len", "Tokens that a sequence may hold.")
	descUsed        = description("slot_used_tokens", "Tokens of the sequence that runs in a slot.", labelSlot)
	descCached      = description("slot_cached_tokens", "Tokens that a free slot keeps for requests that begin with them.", labelSlot)
	descBytes       = description("model_memory_bytes", "What a loaded model takes: weights, KV memory, buffers.")
	descLimit       = prometheus.NewDesc(prefix+"memory_limit_bytes", "What all models may take (--memory-limit).", nil, nil)
	descSteps       = description("engine_steps_total", "Runs of the graph.")
	descStepSeconds = description("engine_step_seconds_total", "Time spent in runs of the graph and in what follows each.")
	descBetween     = description("inter_token_latency_seconds", "Time between two tokens of an answer.")
)

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRunning, descWaiting, descKV, descSlots, descMaxLen, descUsed, descCached, descBytes, descLimit, descSteps, descStepSeconds, descBetween,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	limit := int64(0)
	for _, m := range c.models() {
		limit = m.Limit
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{m.Name}, labels...)...)
		}
		used := 0
		for i, n := range m.SlotTokens {
			slot := strconv.Itoa(i)
			if i < m.Running {
				used += n
				gauge(descUsed, float64(n), slot)
				gauge(descCached, 0, slot)
				continue
			}
			gauge(descUsed, 0, slot)
			gauge(descCached, float64(n), slot)
		}
		gauge(descRunning, float64(m.Running))
		gauge(descWaiting, float64(m.Waiting))
		gauge(descSlots, float64(len(m.SlotTokens)))
		gauge(descMaxLen, float64(m.MaxLen))
		gauge(descBytes, float64(m.Bytes))
		if room := len(m.SlotTokens) * m.MaxLen; room > 0 {
			gauge(descKV, float64(used)/float64(room))
		}
		ch <- prometheus.MustNewConstMetric(descSteps, prometheus.CounterValue, float64(m.Steps), m.Name)
		ch <- prometheus.MustNewConstMetric(descStepSeconds, prometheus.CounterValue, m.StepSeconds, m.Name)
		buckets, below := map[float64]uint64{}, uint64(0)
		for i, bound := range m.Between.Bounds {
			below += m.Between.Counts[i]
			buckets[bound] = below
		}
		ch <- prometheus.MustNewConstHistogram(descBetween, m.Between.Count(), m.Between.Sum, buckets, m.Name)
	}
	if limit > 0 {
		ch <- prometheus.MustNewConstMetric(descLimit, prometheus.GaugeValue, float64(limit))
	}
}
