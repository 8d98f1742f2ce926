package search

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"
)

const (
	// drawn is how many passages, drawn by their hash, stand for all where the mean
	// of the cosines and their spread are wanted.
	drawn = 2000
	// nearest is how many neighbours HNSW keeps in mind; 1000 is the most it takes.
	nearest = 400
)

// Query searches as [Index.Query] does, in one statement. Scores are put together
// with the same weights. What differs: a word's weight in a passage is PostgreSQL's
// ts_rank times the logarithm of its rarity, in the place of BM25; Hit.BM25 is that
// sum. Without filters, quoted words and exclusions the nearest passages come from
// HNSW, which may miss some; with them, from a scan of those that remain.
func (pg *Postgres) Query(ctx context.Context, query string, q Query) (Answer, error) {
	a, err := pg.query(ctx, query, q)
	if err != nil {
		return Answer{}, pg.failed("search in", err)
	}
	return a, nil
}

func (pg *Postgres) query(ctx context.Context, query string, q Query) (Answer, error) {
	terms, vector, err := pg.options.wanted(ctx, clean(query), &q)
	if err != nil {
		return Answer{}, err
	}
	if vector != nil {
		if vector, err = unit(vector); err != nil {
			return Answer{}, err
		}
	}
	statement, values := pg.statement(terms, q, vector)
	var a Answer
	err = pgx.BeginTxFunc(ctx, pg.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if vector != nil {
			// The setting exists once the extension is loaded, which a cast does.
			if _, err := tx.Exec(ctx, fmt.Sprintf("SELECT '[1]'::vector; SET LOCAL hnsw.ef_search = %d", nearest)); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, statement, values...)
		if err != nil {
			return err
		}
		var h Hit
		var modified int64
		var turns []turn
		var oneLine bool
		_, err = pgx.ForEachRow(rows, []any{&h.ID, &h.Title, &modified, &h.Fields, &h.Start, &h.End, &h.Line, &h.Page, &h.Heading, &h.Text,
			&turns, &oneLine, &h.Score, &h.Cosine, &h.BM25, &h.Good}, func() error {
			found := h
			if modified != 0 {
				found.Modified = time.Unix(modified, 0).UTC()
			}
			found.settle(terms, turns, oneLine)
			if found.Good {
				a.Good++
			}
			a.Hits = append(a.Hits, found)
			h, turns = Hit{}, nil
			return nil
		})
		return err
	})
	return a, err
}

// postgresMatch are the expressions that find a term in a passage's words and in
// its exact words; one of them is "".
type postgresMatch struct{ words, exact string }

func matchOf(t term, stopped bool) postgresMatch {
	phrase := adjacent(t.pieces, "")
	switch {
	case phrase == "": // marks alone
		return postgresMatch{}
	case t.prefix:
		return postgresMatch{exact: phrase + ":*"}
	case t.quoted, stopped, t.excluded && t.stopped():
		return postgresMatch{exact: phrase}
	case t.excluded:
		return postgresMatch{words: phrase}
	}
	alternatives := []string{phrase}
	if own := adjacent(t.alone, ":C"); len(t.alone) > 1 && own != "" {
		alternatives = append(alternatives, own)
	}
	for _, w := range t.alone {
		if len([]rune(fold(w))) > 2 && !stop[strings.ToLower(w)] {
			alternatives = append(alternatives, adjacent([]string{w}, ""))
		}
	}
	return postgresMatch{words: "(" + strings.Join(alternatives, ") | (") + ")"}
}

// adjacent is the tsquery of words one behind the other. They are letters, digits
// and marks, and need no escapes.
func adjacent(words []string, weight string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		if w = fold(w); w != "" {
			quoted = append(quoted, "'"+w+"'"+weight)
		}
	}
	return strings.Join(quoted, " <-> ")
}

// postgresStatement is the hybrid query; see [wordWeight] for the ranking. $1 and $2
// are the terms; $3 to $5 the rare expressions, their shares of the query and
// whether they are all of it; $6 whether all hits are wanted, $7 how many.
// [Postgres.statement] fills in what stands in braces.
const postgresStatement = `
WITH total AS MATERIALIZED (SELECT count(*)::float8 AS n FROM m2embed_passages),
term AS MATERIALIZED (
	SELECT t.words, t.exact, ln(1 + (total.n - d.n + 0.5) / (d.n + 0.5)) AS rarity
	FROM (SELECT to_tsquery('english', w) AS words, to_tsquery('simple', e) AS exact FROM unnest($1::text[], $2::text[]) AS u(w, e)) t, total,
	LATERAL (SELECT count(*)::float8 AS n FROM m2embed_passages p WHERE p.words @@ t.words OR p.exact @@ t.exact) d),
worded AS MATERIALIZED (
	SELECT p.id, sum(t.rarity * (ts_rank('{0,0.5,0.7,1}', p.words, t.words) + ts_rank('{0,0.5,0.7,1}', p.exact, t.exact)))::float8 AS score
	FROM term t JOIN m2embed_passages p ON p.words @@ t.words OR p.exact @@ t.exact
	WHERE {conditions} GROUP BY p.id ORDER BY score DESC, p.id LIMIT {most}),
rare AS MATERIALIZED (
	SELECT r.words, r.share, r.whole, d.n
	FROM (SELECT to_tsquery('english', w) AS words, share, whole FROM unnest($3::text[], $4::float8[], $5::bool[]) AS u(w, share, whole)) r, total,
	LATERAL (SELECT count(*)::float8 AS n FROM m2embed_passages p WHERE p.words @@ r.words) d
	WHERE d.n > 0 AND d.n <= greatest(20, floor(total.n / 100))),
held AS MATERIALIZED (
	SELECT p.id, least(1, sum(r.share * least(1, 4 / r.n)))::float8 AS exact
	FROM rare r JOIN m2embed_passages p ON p.words @@ r.words WHERE {conditions} GROUP BY p.id),
near AS MATERIALIZED ({near}),
sample AS MATERIALIZED ({sample}),
candidate AS MATERIALIZED (
	SELECT p.id, p.document, coalesce(w.score, 0) AS words, coalesce(h.exact, 0) AS exact, coalesce({cosine}, 0)::float8 AS cosine
	FROM (SELECT id FROM worded UNION SELECT id FROM held UNION SELECT id FROM near) c
	JOIN m2embed_passages p USING(id) LEFT JOIN worded w USING(id) LEFT JOIN held h USING(id)),
bounds AS MATERIALIZED (
	SELECT b.best, b.top, s.mean, s.spread, (SELECT coalesce(sum(share), 0) FROM rare WHERE NOT whole) AS names
	FROM (SELECT max(words) AS best, max(cosine) AS top FROM candidate) b, sample s),
measured AS MATERIALIZED (
	SELECT c.id, c.document, c.words AS raw, c.cosine, c.exact,
		CASE WHEN best > 0 THEN c.words / best ELSE 0 END AS words,
		CASE WHEN top > mean THEN greatest(0, (c.cosine - mean) / (top - mean)) ELSE 0 END AS meaning
	FROM candidate c, bounds),
ranked AS MATERIALIZED (
	SELECT (array_agg(id ORDER BY {score} DESC, id))[1] AS id, max(words) AS words, max(meaning) AS meaning, max(exact) AS exact
	FROM measured GROUP BY {key}),
judged AS MATERIALIZED (
	SELECT r.id, {score} AS score, m.cosine, m.raw, ({good}) AS good
	FROM (SELECT * FROM ranked) r JOIN (SELECT id, cosine, raw FROM measured) m USING(id), bounds)
SELECT d.name, d.title, d.modified, d.fields, p.start, p.stop, p.line, p.page, p.heading, p.text, p.turns, p.one_line, j.score, j.cosine, j.raw, j.good
FROM (SELECT * FROM judged WHERE good OR $6 ORDER BY score DESC, id LIMIT $7) j
JOIN m2embed_passages p USING(id) JOIN m2embed_documents d ON d.id = p.document ORDER BY j.score DESC, j.id`

// statement is the hybrid query for terms and a vector of unit length, nil for
// none, and its values.
func (pg *Postgres) statement(terms []term, q Query, vector []float32) (string, []any) {
	words, exact := []string{}, []string{} // a nil slice would be NULL
	rare, shares, wholes := []string{}, []float64{}, []bool{}
	values := []any{nil, nil, nil, nil, nil, q.All, q.Top}
	value := func(v any) string {
		values = append(values, v)
		return fmt.Sprintf("$%d", len(values))
	}
	var conditions []string
	demanded, telling := false, 0
	for _, t := range terms {
		if !t.excluded && !t.stopped() {
			telling++
		}
	}
	for _, t := range terms {
		m := matchOf(t, telling == 0)
		found := "p.words @@ to_tsquery('english', " + value(m.words) + ")"
		if m.exact != "" {
			values = values[:len(values)-1]
			found = "p.exact @@ to_tsquery('simple', " + value(m.exact) + ")"
		}
		if t.excluded {
			conditions = append(conditions, "NOT "+found)
			continue
		}
		if t.quoted {
			conditions, demanded = append(conditions, found), true
		} else {
			values = values[:len(values)-1]
			if t.exact && q.Mode != Meaning {
				rare, shares, wholes = append(rare, adjacent(t.pieces, "")), append(shares, 1/float64(max(telling, 1))), append(wholes, false)
			}
		}
		if q.Mode != Meaning && (telling == 0 || !t.stopped()) {
			words, exact = append(words, m.words), append(exact, m.exact)
		}
	}
	if whole(terms, stemmer{}).words != "" && q.Mode != Meaning {
		var all []string
		for _, t := range terms {
			all = append(all, t.pieces...)
		}
		rare, shares, wholes = append(rare, adjacent(all, "")), append(shares, 1), append(wholes, true)
	}
	values[0], values[1], values[2], values[3], values[4] = words, exact, rare, shares, wholes

	if documents := filterPostgres(q, value); len(documents) > 0 {
		conditions = append(conditions, "p.document IN (SELECT id FROM m2embed_documents WHERE "+strings.Join(documents, " AND ")+")")
	}
	where := "true"
	if len(conditions) > 0 {
		where = strings.Join(conditions, " AND ")
	}
	cosine, near, sample := "0", "SELECT id FROM m2embed_passages WHERE false", "SELECT 0::float8 AS mean, 0::float8 AS spread"
	if vector != nil {
		kind, _, _ := strings.Cut(pg.column, "(")
		v := value(pgvector.NewVector(vector)) + "::vector::" + kind
		cosine = "1 - (p.vector <=> " + v + ")"
		order := "p.vector <=> " + v
		if len(conditions) > 0 {
			order = "(" + order + ") + 0" // no HNSW, which would look for neighbours before the conditions hold
		}
		near = fmt.Sprintf("SELECT p.id FROM m2embed_passages p WHERE p.vector IS NOT NULL AND %s ORDER BY %s LIMIT %d", where, order, max(meaningCandidates, 4*q.Top))
		sample = fmt.Sprintf(`SELECT coalesce(avg(x), 0) AS mean, coalesce(stddev_pop(x), 0) AS spread FROM
			(SELECT (%s)::float8 AS x FROM m2embed_passages p WHERE p.vector IS NOT NULL ORDER BY draw, id LIMIT %d) drawn`, cosine, drawn)
	}
	return strings.NewReplacer(
		"{conditions}", where, "{most}", fmt.Sprint(max(wordCandidates, 4*q.Top)), "{near}", near, "{sample}", sample, "{cosine}", "("+cosine+")",
		"{key}", map[bool]string{false: "document", true: "id"}[q.Passages], "{score}", scorePostgres(q.Mode, vector != nil), "{good}", goodPostgres(q.Mode, vector != nil, demanded),
	).Replace(postgresStatement), values
}

// scorePostgres is [candidates.score] in SQL.
func scorePostgres(mode Mode, vectors bool) string {
	switch {
	case mode == Meaning:
		return "meaning"
	case mode == Words || !vectors:
		return fmt.Sprintf("(words + %g * exact)", exactWeight)
	}
	return fmt.Sprintf("(%g * words + %g * meaning + %g * exact)", wordWeight, 1-wordWeight, exactWeight)
}

// goodPostgres is [candidates.good] in SQL.
func goodPostgres(mode Mode, vectors, demanded bool) string {
	good := []string{"names > 0 AND r.exact >= names", "r.exact = 1"}
	if demanded {
		good = append(good, "true")
	}
	if mode != Meaning {
		good = append(good, fmt.Sprintf("r.words >= %g", goodWords))
	}
	if vectors && mode != Words {
		good = append(good, fmt.Sprintf("r.meaning > 0 AND m.cosine >= mean + %d * spread", goodDeviations))
	}
	return strings.Join(good, " OR ")
}

// filterPostgres are the conditions on documents.
func filterPostgres(q Query, value func(any) string) []string {
	var where []string
	for key, v := range q.Fields {
		where = append(where, "fields->>"+value(clean(key))+"::text = "+value(clean(v)))
	}
	if q.Glob != "" {
		where = append(where, "name ~ "+value(globRegexp(clean(q.Glob))))
	}
	if !q.After.IsZero() {
		where = append(where, "modified >= "+value(q.After.Unix()))
	}
	if !q.Before.IsZero() {
		where = append(where, "modified < "+value(q.Before.Unix())+" AND modified != 0")
	}
	return where
}

// globRegexp is the regular expression of a pattern of SQLite's GLOB. A bracket
// that is not closed matches nothing.
func globRegexp(glob string) string {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(glob); {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
			i++
		case '?':
			b.WriteString(".")
			i++
		case '[':
			inner := i + 1
			if inner < len(glob) && glob[inner] == '^' {
				inner++
			}
			end := strings.IndexByte(glob[min(inner+1, len(glob)):], ']') // the first may be a member
			if end < 0 {
				return "(?!)"
			}
			end += inner + 1
			set := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(glob[inner:end])
			b.WriteString("[" + glob[i+1:inner] + set + "]")
			i = end + 1
		default:
			n := strings.IndexAny(glob[i:], "*?[")
			if n < 0 {
				n = len(glob) - i
			}
			b.WriteString(regexp.QuoteMeta(glob[i : i+n]))
			i += n
		}
	}
	b.WriteString("$")
	return b.String()
}
