package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/reload"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem/progress"
)

// keys brings the sources' keys into the keystore, at the start and again whenever it is asked to.
type keys struct {
	store    *keystore.Keystore
	files    *filesystem.Loader
	log      *zap.Logger
	duration prometheus.Gauge
	failures *prometheus.CounterVec
	memory   *filesystem.KDFMemory // shared by all that opens keystores
	// mayBeEmpty says that keys come later, over the Key Manager API.
	mayBeEmpty bool
	bar        *progress.Bar          // shows the start on a terminal; nil if there is none
	failed     atomic.Int64           // keys that could not be loaded, by the last load that did not fail as a whole
	fault      atomic.Pointer[string] // why the last load failed as a whole; nil if it did not
}

func newKeys(c config.Filesystem, log *zap.Logger, r prometheus.Registerer) (*keys, error) {
	k := &keys{
		store: keystore.New(),
		log:   log,
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "containment_key_loading_duration_seconds",
			Help: "Time that the last load of the keys took, at the start or by a reload.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_key_load_failures_total",
			Help: "Keys that could not be loaded, by source: of files each is counted again by every load, and a load that failed as a whole counts as one; a stored key is counted when it is found.",
		}, []string{"source"}),
		memory: filesystem.NewKDFMemory(c.KDFMemoryPercent, filesystem.Memory()),
	}
	for _, source := range []keystore.Source{keystore.Filesystem, keystore.Stored} {
		k.failures.WithLabelValues(source.String())
	}
	k.files = filesystem.NewLoader(filesystem.Options{
		Paths:               c.Paths,
		KeystoreConcurrency: c.KeystoreLoadConcurrency,
		RawConcurrency:      c.RawLoadConcurrency,
		Memory:              k.memory,
	}, func(public bls.PublicKey) (*keystore.Key, bool) { return k.store.Held(keystore.Filesystem, public) })
	return k, k.register(r)
}

// register also shows how many keys each source has.
func (k *keys) register(r prometheus.Registerer) error {
	collectors := []prometheus.Collector{k.duration, k.failures}
	for _, source := range keystore.Sources() {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "containment_keys_active", Help: "Keys that can sign, by source.",
			ConstLabels: prometheus.Labels{"source": source.String()},
		}, func() float64 { return float64(k.store.Count(source)) }))
	}
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register the metrics of the keys: %w", err)
		}
	}
	return nil
}

// start is the first load. Its single keys are not worth a line each.
func (k *keys) start(ctx context.Context) (err error) {
	progress.During(func() { _, err = k.load(ctx, zapcore.DebugLevel) }, k.files.Progress, k.log, k.bar)
	return err
}

// reload is every further one. It says of each key what became of it.
func (k *keys) reload(ctx context.Context) (totals reload.Totals, err error) {
	ctx, cancel := context.WithTimeout(ctx, keysLimit)
	defer cancel()
	// No bar: a terminal that has been stopped would hold up those who sign, and log.
	progress.During(func() { totals, err = k.load(ctx, zapcore.InfoLevel) }, k.files.Progress, k.log, nil)
	if err != nil {
		k.log.Error("keys not reloaded: nothing has changed", zap.Error(err))
	}
	return totals, err
}

// load goes on without the keys that cannot be read, and says which: the others have duties too.
func (k *keys) load(ctx context.Context, each zapcore.Level) (reload.Totals, error) {
	began := time.Now()
	loaded, failures, err := k.files.Load(ctx)
	if err != nil {
		k.failures.WithLabelValues(keystore.Filesystem.String()).Inc()
		why := err.Error()
		k.fault.Store(&why)
		return reload.Totals{}, err
	}
	k.fault.Store(nil)
	change := k.store.Replace(keystore.Filesystem, loaded)
	if len(change.Added) > 0 {
		debug.FreeOSMemory() // decrypting leaves many times behind what the keys take, which would stay resident
	}
	took := time.Since(began)

	totals := reload.Totals{
		Loaded: k.store.Len(), Added: len(change.Added), Removed: len(change.Removed), Failed: len(failures) + len(change.Duplicates),
	}
	k.failed.Store(int64(totals.Failed))
	k.failures.WithLabelValues(keystore.Filesystem.String()).Add(float64(totals.Failed))
	k.duration.Set(took.Seconds())
	k.tell(change, failures, each)
	k.log.Info("keys loaded", zap.Int("keys", totals.Loaded), zap.Int("added", totals.Added), zap.Int("removed", totals.Removed),
		zap.Int("errors", totals.Failed), zap.Duration("took", took))
	return totals, nil
}

// tell writes one line for each key that came, went or failed.
func (k *keys) tell(change keystore.Change, failures []filesystem.FileError, each zapcore.Level) {
	for _, public := range change.Added {
		k.log.Log(each, "key added", zap.String("key", public.Short()))
	}
	for _, public := range change.Removed {
		k.log.Log(each, "key removed", zap.String("key", public.Short()))
	}
	for _, e := range failures {
		if e.Kept != (bls.PublicKey{}) {
			k.log.Error("key not reloaded: it stays as it was", zap.String("key", e.Kept.Short()), zap.Error(e))
			continue
		}
		k.log.Error("key not loaded", zap.Error(e))
	}
	for _, err := range change.Duplicates {
		k.log.Error("key not loaded", zap.Error(err))
	}
}

// probe is the check of the keys. A reload that failed as a whole is told, but is no fault: the keys are those of before, and sign.
func (k *keys) probe(context.Context) (map[string]any, error) {
	n, failed := k.store.Len(), k.failed.Load()
	data := map[string]any{"keys-loaded": n, "error-count": failed}
	if why := k.fault.Load(); why != nil {
		data["last-reload-error"] = *why
	}
	switch {
	case n > 0:
		return data, nil
	case k.mayBeEmpty && failed == 0: // whoever imports the first one has to get here
		return data, nil
	case failed > 0:
		return data, errors.New("no key could be loaded; the log names each file and the reason")
	}
	return data, errors.New("no key is loaded; is a directory of key_sources.filesystem.paths empty, or not mounted?")
}

// counts is how many keys each source has that has any.
func (k *keys) counts() map[string]int {
	out := map[string]int{}
	for _, source := range keystore.Sources() {
		if n := k.store.Count(source); n > 0 {
			out[source.String()] = n
		}
	}
	return out
}
