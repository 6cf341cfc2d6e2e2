package grammar

// shortest returns a shortest text that completes one from s.
func (s *state) shortest() []byte {
	if s.accept {
		return nil
	}
	var best *frame
	for _, f := range s.frames {
		if best == nil || f.short < best.short {
			best = f
		}
	}
	var text []byte
	for f := best; f != nil; f = f.tail {
		text = f.e.appendRest(text, f.n)
	}
	return text
}

// appendShortest appends e's shortest text.
func (e *expr) appendShortest(text []byte) []byte { return e.appendRest(text, 0) }

// appendRest appends the shortest text from place n of e on.
func (e *expr) appendRest(text []byte, n int32) []byte {
	switch e.kind {
	case kindLiteral:
		return append(text, e.lit[n:]...)
	case kindSet:
		return append(text, e.set.first())
	case kindCat:
		for _, x := range e.list[n:] {
			text = x.appendShortest(text)
		}
	case kindAlt:
		for _, x := range e.list {
			if x.short == e.short {
				return x.appendShortest(text)
			}
		}
	case kindRepeat:
		begin := len(text)
		if int(n) < e.min {
			text = e.sub.appendShortest(text)
			once := text[begin:]
			for range e.min - int(n) - 1 {
				text = append(text, once...)
			}
		}
	case kindRef:
		return e.sub.appendShortest(text)
	case kindDFA:
		for s := n; e.dfa.dist[s] > 0; {
			for b := range 256 {
				if to := e.dfa.step(s, byte(b)); to >= 0 && e.dfa.dist[to] < e.dfa.dist[s] {
					text, s = append(text, byte(b)), to
					break
				}
			}
		}
	}
	return text
}
