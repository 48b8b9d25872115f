package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/shuffle"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
)

// How rows are shuffled. All of it depends on the data and the spec alone, and
// none of it shows in what comes out.
const (
	// Of the rows of a partition, about: less than what a merge has open, so that each
	// run has one block of it, and all of it is sorted at once.
	partitionBytes = openBytes / 4 * 3
	mostPartitions = 256
	runBytes       = 8 << 20 // of the rows of a shard that are sorted at a time
	openBytes      = 8 << 20 // of the blocks that a merge has open, one for each run
	fewestOpen     = 1 << 10 // rows of a block
	mostOpen       = 1 << 16
	atATime        = 8 // blobs that a task writes or removes
)

// shuffling is one level of windows of a job over its input.
type shuffling struct {
	*features.Windows
	level int
	cfg   shuffle.Config
	bytes int64 // that a row takes on its way, there or back
	runs  int64

	runBytes int64
}

// newShuffling says how the rows of a level's windows are shuffled.
func (w *work) newShuffling(p *features.Pipeline, level int, d *Dataset) *shuffling {
	const head = 36 // key, time and place
	s := &shuffling{Windows: p.Windows(level), level: level}
	s.bytes = head + max(rowBytes(s.Carried()), rowBytes(s.Schema()))
	total := d.Rows * s.bytes
	s.runBytes = int64(cmp.Or(w.runBytes, runBytes))
	longest := int64(1) // rows of a run
	for _, shard := range d.Shards {
		runs, rows := s.runsOf(shard)
		s.runs, longest = s.runs+runs, max(longest, rows)
	}
	s.runs = max(s.runs, 1)
	s.cfg = shuffle.Config{Label: fmt.Sprintf("%s/%d", w.task.Job, level), Partitions: 1, RunBytes: 2 * int(s.runBytes)}
	if len(s.Entity()) > 0 {
		s.cfg.Partitions = int(min(max((total+partitionBytes-1)/partitionBytes, 1), mostPartitions))
	}
	one := longest / int64(s.cfg.Partitions) // rows of a run in a partition, when entities are many
	s.cfg.BlockRows = int(min(max(openBytes/(s.runs*s.bytes), one+one/4, fewestOpen), mostOpen))
	return s
}

// runsOf returns how many runs a shard has, and the most rows of one: they are
// about equally long, so that each has about as many rows of a partition.
func (s *shuffling) runsOf(shard split.Shard) (runs, rows int64) {
	runs = max((shard.Rows*s.bytes+s.runBytes-1)/s.runBytes, 1)
	return runs, max((shard.Rows+runs-1)/runs, 1)
}

// facts tells the planner what the stages of the level need.
func (s *shuffling) facts() plan.Windows {
	open := s.runs * int64(s.cfg.BlockRows) * s.bytes
	chunk := mostOpen * s.bytes
	return plan.Windows{
		Level: s.level, Partitions: s.cfg.Partitions,
		PartitionBytes: copiesOfPiece * runBytes,
		WindowBytes:    4*open + copiesOfPiece*chunk + taskBytes,
	}
}

// windowFacts says what the windows of a job need, by level.
func (w *work) windowFacts(s *Survey, facts *plan.Facts) error {
	p, err := w.windowing(s)
	if p == nil || err != nil {
		return err
	}
	for _, level := range p.WindowLevels() {
		facts.Windows = append(facts.Windows, w.newShuffling(p, level, s.Input).facts())
	}
	return nil
}

// windowing returns the pipeline, as it is before anything is fitted, whose
// windows the job has to compute; nil when there are none.
func (w *work) windowing(s *Survey) (p *features.Pipeline, err error) {
	switch k := w.spec; k.Kind {
	case spec.KindFeatures:
		p, err = compile(k.Features, s.Input)
	case spec.KindTrain:
		p, err = compileTrain(k.Train, s.Input)
	case spec.KindPredict:
		b, lerr := w.load(w.ctx, s.Model.Digest)
		if lerr != nil {
			return nil, lerr
		}
		if p, err = b.Pipeline, nil; p != nil && s.Input.hasAll(p.WindowNames()) {
			return nil, nil //nolint:nilnil // they are given
		}
	case spec.KindDrift:
		return nil, nil //nolint:nilnil // it computes no features
	}
	if err != nil || p == nil || len(p.WindowLevels()) == 0 {
		return nil, err
	}
	return p, nil
}

func (d *Dataset) hasAll(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return d.Schema.Index(n) < 0 })
}

// sorted is what a partition task leaves: the runs of its shard.
type sorted struct {
	shelf
	Runs []sortedRun `json:"runs"`
}

type sortedRun struct {
	Rows  int     `json:"rows"`
	Parts [][]ref `json:"parts"`           // by partition: its blocks
	Alone []ref   `json:"alone,omitempty"` // what rows are given that belong to nobody
}

// answered is what a window task leaves: what it gives back to each run.
type answered struct {
	shelf
	Runs [][]ref `json:"runs"`
}

// level returns the windows of a level, with the passes before it fitted, and the
// survey whose input has the windows of lower levels.
func (w *work) level(level int) (*Survey, *shuffling, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return nil, nil, err
	}
	p, err := w.windowing(&s)
	if err == nil && p == nil {
		err = fault.New(fault.Internal, "task %s: there are no windows", w.task.ID)
	}
	if err == nil && w.spec.Kind != spec.KindPredict {
		p, err = w.pipeline(&s, level)
	}
	if err != nil {
		return nil, nil, err
	}
	w.attach(&s, p, level-1)
	return &s, w.newShuffling(p, level, s.Input), nil
}

// partition sorts the rows of one shard by entity and time, and cuts them into
// partitions.
func (w *work) partition(level int) (jobs.Result, error) {
	s, sh, err := w.level(level)
	if err != nil {
		return jobs.Result{}, err
	}
	var left sorted
	var rows int64
	left.shelf, err = w.shelve(w.blocksName(), func(keep keepBlocks) (err error) {
		cfg := sh.cfg
		_, rowsOfRun := sh.runsOf(s.Input.Shards[w.task.Index])
		cfg.RunRows = int(rowsOfRun)
		sorter := shuffle.NewSorter(cfg, func(r shuffle.Run) error {
			kept, err := keepRun(sh, r, keep)
			left.Runs = append(left.Runs, kept)
			return err
		})
		rows, err = w.scan(s.Input, sh.Inputs(), func(b *data.Batch, _ rowNumbers) error {
			carried, err := sh.Carry(b)
			if err != nil {
				return err
			}
			key := make([]*data.Column, len(sh.Entity()))
			for i, name := range sh.Entity() {
				key[i] = b.Column(name)
			}
			return sorter.Add(key, b.Column(sh.Timestamp()), carried)
		})
		if err == nil {
			err = sorter.Flush()
		}
		return err
	})
	if err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.note(left)
	return jobs.Result{Output: digest, RowsIn: rows}, err
}

// blocksName names the file of this task's blocks.
func (w *work) blocksName() string {
	return fmt.Sprintf("%s-%05d.blocks", w.task.Stage.Name, w.task.Index)
}

// keepRun stores a run.
func keepRun(sh *shuffling, r shuffle.Run, keep keepBlocks) (sortedRun, error) {
	kept := sortedRun{Rows: r.Rows, Parts: make([][]ref, len(r.Parts))}
	refs, err := keep(slices.Concat(r.Parts...))
	if err != nil {
		return kept, err
	}
	for i, blocks := range r.Parts {
		kept.Parts[i], refs = refs[:len(blocks):len(blocks)], refs[len(blocks):]
	}
	if r.Alone == nil {
		return kept, nil
	}
	h, err := sh.NewHistory()
	if err != nil {
		return kept, err
	}
	starts := data.NewBitmap(r.Alone.NumRows) // each is an entity of its own
	for i := range starts {
		starts[i] = ^uint64(0)
	}
	made, err := h.Run(r.Alone, make([]int64, r.Alone.NumRows), starts)
	if err != nil {
		return kept, err
	}
	kept.Alone, err = keep([][]byte{sh.cfg.Answer(made, r.AloneRows)})
	return kept, err
}

// window computes the windows of the entities of one partition.
func (w *work) window(level int) (jobs.Result, error) {
	_, sh, err := w.level(level)
	if err != nil {
		return jobs.Result{}, err
	}
	all, err := notesOf[sorted](w, plan.Pass(plan.Partition, level))
	if err != nil {
		return jobs.Result{}, err
	}
	var parts []shuffle.Part
	for _, s := range all {
		for _, run := range s.Runs {
			blocks := run.Parts[w.task.Index]
			parts = append(parts, shuffle.Part{Blocks: len(blocks), Read: func(i int) ([]byte, error) {
				return w.block(s.shelf, blocks[i])
			}})
		}
	}
	h, err := sh.NewHistory()
	if err != nil {
		return jobs.Result{}, err
	}
	left := answered{Runs: make([][]ref, len(parts))}
	var rows int64
	compute := func(b *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error) {
		if w.ctx.Err() != nil {
			return nil, context.Cause(w.ctx)
		}
		rows += int64(b.NumRows)
		w.report.Progress(rows, 0, "")
		return h.Run(b, times, starts)
	}
	left.shelf, err = w.shelve(w.blocksName(), func(keep keepBlocks) error {
		return sh.cfg.Merge(parts, compute, func(run int, block []byte) error {
			refs, err := keep([][]byte{block})
			left.Runs[run] = append(left.Runs[run], refs...)
			return err
		})
	})
	if err != nil {
		return jobs.Result{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	digest, err := w.note(left)
	return jobs.Result{Output: digest, RowsIn: rows}, err
}
