package spec

import "fmt"

// The types of optimizers and schedulers that fields belong to.
const (
	adamW     = "adamw"
	sgd       = "sgd"
	constant  = "constant"
	onPlateau = "reduce_on_plateau"
	cosine    = "cosine"
	step      = "step"
)

// fillOptimizer makes weight decay 0 where it is not AdamW's own, as PyTorch
// has it.
func fillOptimizer(o *Optimizer, n *node) {
	if o.Type != adamW && !n.gives("optimizer", "weight_decay") {
		o.WeightDecay = 0
	}
}

func (d *decoder) checkOptimizer(o Optimizer, n *node) {
	fault := func(field, message, hint string) {
		d.fault(n.atField("optimizer", field), "optimizer."+field, message, hint)
	}
	unread := func(field string, given bool) {
		if given {
			fault(field, "is not read with type: "+o.Type, "remove it")
		}
	}
	usual, isSGD := defaults[Optimizer](), o.Type == sgd
	unread("beta1", isSGD && o.Beta1 != usual.Beta1)
	unread("beta2", isSGD && o.Beta2 != usual.Beta2)
	unread("epsilon", isSGD && o.Epsilon != usual.Epsilon)
	unread("momentum", !isSGD && o.Momentum != usual.Momentum)
	unread("nesterov", !isSGD && o.Nesterov)
	if isSGD && o.Nesterov && o.Momentum == 0 {
		fault("nesterov", "needs a momentum, and there is none", "give momentum, such as 0.9")
	}
	if o.ClipNorm > 0 && o.ClipValue > 0 {
		fault("clip_value", "given beside clip_norm", "give one of the two")
	}
}

func (d *decoder) checkScheduler(t *Train, n *node) {
	s, usual := t.Scheduler, defaults[Scheduler]()
	fault := func(field, message, hint string) {
		d.fault(n.atField("scheduler", field), "scheduler."+field, message, hint)
	}
	unread := func(field string, given bool) {
		if given {
			fault(field, "is not read with type: "+s.Type, "remove it")
		}
	}
	still := s.Type == constant || s.Type == onPlateau
	unread("interval", still && s.Interval != usual.Interval)
	unread("every", s.Type != step && s.Every != usual.Every)
	unread("patience", s.Type != onPlateau && s.Patience != usual.Patience)
	unread("factor", (s.Type == constant || s.Type == cosine) && s.Factor != usual.Factor)
	unread("min_learning_rate", s.Type != onPlateau && s.Type != cosine && s.MinLearningRate != usual.MinLearningRate)
	if s.WarmupIterations > 0 && s.WarmupEpochs > 0 {
		fault("warmup_epochs", "given beside warmup_iterations", "give one of the two")
	}
	if s.WarmupEpochs >= t.Epochs {
		fault("warmup_epochs", fmt.Sprintf("a warm-up of %d epochs of %d never ends", s.WarmupEpochs, t.Epochs), "make it shorter than epochs")
	}
}
