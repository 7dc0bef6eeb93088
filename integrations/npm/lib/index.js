'use strict';

const { spawnSync } = require('node:child_process');
const { program } = require('./program.js');

function restore(path = process.cwd(), { offline = false } = {}) {
  return root(['restore', ...(offline ? ['--offline'] : []), path]);
}

function locate(path = process.cwd()) {
  return root(['config', 'locate', path]);
}

/** Runs `assets`, which says on stderr what it does and what went wrong, and returns the line that it prints. */
function root(args) {
  let done;
  try {
    done = spawnSync(program(), args, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  } catch (error) {
    throw plain(error.message);
  }
  if (done.error) throw plain(`cannot start \`assets\`: ${done.error.message}`);
  if (done.status !== 0) {
    throw plain(`\`assets ${args.join(' ')}\` ended with ${done.signal ?? `exit code ${done.status}`}`);
  }
  return done.stdout.trimEnd();
}

/** An error whose place in this file is of no use to anybody: test runners print the stack. */
function plain(message) {
  const error = new Error(message);
  error.name = 'AssetsError';
  error.stack = `${error.name}: ${message}`;
  return error;
}

exports.restore = restore;
exports.locate = locate;
