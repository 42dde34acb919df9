// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// LogFile is the name, within the state folder, of the log.
const LogFile = "slipway.log"

// maxLog is the size in bytes at which the log of former runs is set aside.
const maxLog = 32 << 20

// logToFile sends the structured log to a file of the state folder and only errors to the terminal,
// where they would drown what a person wants to read.
func logToFile(dir string) (logr.Logger, error) {
	path := filepath.Join(dir, LogFile)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return logr.Logger{}, fmt.Errorf("set the old log aside: %w", err)
		}
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "log_file": path, "stderrthreshold": "FATAL", "skip_headers": "false",
	} {
		if err := flags.Set(name, value); err != nil {
			return logr.Logger{}, fmt.Errorf("set up the log: %w", err)
		}
	}
	logger := klog.NewKlogr()
	ctrl.SetLogger(logger)
	return logger, nil
}
