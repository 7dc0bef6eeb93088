'use strict';

const fs = require('node:fs');
const path = require('node:path');

const windows = process.platform === 'win32';
const name = windows ? 'assets.exe' : 'assets';
const platformPackage = `@assets-sync/${process.platform}-${process.arch}`;

/** The path of the `assets` program: what `ASSETS_EXE` names, else that of the package for this system, else on `PATH`. */
function program() {
  const named = process.env.ASSETS_EXE;
  if (named) {
    if (isProgram(named)) return path.resolve(named);
    throw new Error(
      `\`ASSETS_EXE\` is \`${named}\`, which is not an executable file\n` +
        'hint: set it to the path of the `assets` binary, or unset it',
    );
  }
  const found = fromPackage() ?? onPath();
  if (found) return found;
  throw new Error(
    'cannot find the `assets` program\n' +
      `  searched: \`ASSETS_EXE\`, which is not set, the package \`${platformPackage}\`, and \`PATH\`\n` +
      'hint: install without `--omit=optional`, or install it with `cargo install assets-sync --locked`\n' +
      'hint: or set `ASSETS_EXE` to its path',
  );
}

function fromPackage() {
  try {
    return require.resolve(`${platformPackage}/bin/${name}`);
  } catch {
    return undefined;
  }
}

function onPath() {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  return folders.map((folder) => path.join(folder, name)).find((file) => isProgram(file) && !isLauncher(file));
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

// npm puts a link to our launcher on PATH, pnpm a script.
function isLauncher(file) {
  const inside = path.dirname(file).endsWith(path.join('node_modules', '.bin'));
  return inside || path.basename(fs.realpathSync(file)) === 'assets.js';
}

module.exports = { program };
