package main

import (
	"math/rand/v2"
	"strings"
)

// words are one token each in the vocabularies of both models, with the blank before them.
var words = strings.Fields(`
	the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were
	her all she there would their we him been has when who will more no if out so said what up its about into than them can only
	other new some could time these two may then do first any my now such like our over man me even most made after also did many
	before must through back years where much your way well down should because each just those people how too little state good
	very make world still own see men work long get here between both life being under never day same another know while last
	might us great old year off come since against go came right used take three small house water city river road night light
	story book letter hand head door room table paper field hill tree stone bird horse winter summer spring morning evening
	school church market family mother father child friend captain doctor teacher king soldier music color number question
	answer reason history science nature power money business company government nation country island ocean mountain forest
	garden window wall floor street bridge train ship machine engine wheel clock glass gold silver iron fire wind rain snow`)

// promptWords is how long prompts are.
const promptWords = 100

// prompt is a text of words that begins as no other does: prompts of one seed differ by n.
func prompt(seed, n uint64, count int) string {
	r := rand.New(rand.NewPCG(seed, n))
	text := make([]string, count)
	for i := range text {
		text[i] = words[r.IntN(len(words))]
	}
	return strings.Join(text, " ")
}

// passage is a text for a model to say again.
const passage = `The lighthouse at the end of the bay was built in 1874 by two brothers who had lost their ship on the rocks below. ` +
	`It has a round tower of grey stone, forty metres high, with a narrow iron stair inside and a white gallery around the lamp. ` +
	`Every evening the keeper carries a can of oil up the stair, cleans the glass and lights the lamp before the sun is down. ` +
	`In winter the wind shakes the windows so that he cannot sleep, and he reads old letters at the kitchen table until morning.`

// repeat is a raw prompt whose continuation is the passage: it stands there twice, and once more as far as its first words.
func repeat(seed, n uint64) string {
	text := prompt(seed, n, 12) + ".\n\n" + passage
	first := strings.Join(strings.Fields(passage)[:4], " ")
	return text + "\n\n" + text + "\n\n" + strings.TrimSuffix(text, passage) + first
}
