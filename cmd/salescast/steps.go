package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

// stepCommands are the steps in their order.
func (a *app) stepCommands() []*cobra.Command {
	return []*cobra.Command{
		a.generateCommand(), a.validateCommand(), a.featurizeCommand(), a.tuneCommand(), a.trainCommand(), a.ensembleCommand(), a.evaluateCommand(), a.registerCommand(), a.forecastCommand(), a.monitorCommand(), a.reportCommand(), a.runCommand(),
	}
}

// step runs one step in the workspace of the flags and prints its answer.
func (a *app) step(ctx context.Context, cmd *cobra.Command, do func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error)) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.stepIn(ctx, cmd, a.global.workspace, c, do)
}

func (a *app) stepIn(ctx context.Context, cmd *cobra.Command, workspace string, c *config, do func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error)) error {
	env, closeEnv, err := a.openEnv(workspace, c)
	if err != nil {
		return err
	}
	endParent, err := a.startAirflowRun(ctx, &env)
	var res *tasks.Result
	if err == nil {
		res, err = do(ctx, env, c)
	}
	// The record is brought to where it lasts, also after a cancelled step.
	last := ctx
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		last, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
	}
	endParent(last, err)
	if cerr := closeEnv(last); err == nil {
		err = cerr
	} else if cerr != nil {
		a.log.Warn().Err(cerr).Msg("the record of the run may be incomplete")
	}
	if res == nil {
		res = &tasks.Result{Schema: tasks.ResultSchema, Step: cmd.Name()}
	}
	if err != nil {
		switch tasks.KindOf(err) {
		case tasks.KindRefused:
			res.Status = tasks.Refused
		case tasks.KindDrift:
			res.Status = tasks.Drift
		default:
			res.Status = tasks.Failed
		}
		res.Error = failedResult(res.Step, err).Error
	}
	if perr := a.answer(res); err == nil {
		err = perr
	} else if perr != nil {
		a.log.Warn().Err(perr).Msg("the result could not be written")
	}
	return err
}

// forceFlag adds --force.
func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "redo the step although its answer is there")
}
