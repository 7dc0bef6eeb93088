// Packs `assets-sync` and a package with the program for each system that is named, ready for `npm publish`:
//
//   node pack.mjs OUT linux-x64=target/release/assets [darwin-arm64=FILE win32-x64=FILE...]
//
// npm installs, of the packages for systems, which are optional dependencies, only the one that fits.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const here = import.meta.dirname;
const [out, ...programs] = process.argv.slice(2);
if (!out || programs.length === 0 || !programs.every((program) => /^\w+-\w+=./.test(program))) {
  console.error('usage: node pack.mjs OUT SYSTEM-PROCESSOR=FILE...');
  process.exit(2);
}

const main = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const cargo = readFileSync(join(here, '../../Cargo.toml'), 'utf8');
main.version = cargo.match(/^version = "(.*)"$/m)[1];
main.optionalDependencies = {};
mkdirSync(out, { recursive: true });
const stage = mkdtempSync(join(tmpdir(), 'assets-npm-'));

for (const program of programs) {
  const [system, ...file] = program.split('=');
  const [os, cpu] = system.split('-');
  const name = `@assets-sync/${system}`;
  const binary = join('bin', os === 'win32' ? 'assets.exe' : 'assets');
  const folder = join(stage, system);
  mkdirSync(join(folder, 'bin'), { recursive: true });
  copyFileSync(file.join('='), join(folder, binary));
  chmodSync(join(folder, binary), 0o755);
  const { version, license } = main;
  const description = `The \`assets\` program for ${system}`;
  pack(folder, { name, version, description, license, os: [os], cpu: [cpu], files: ['bin'], preferUnplugged: true });
  main.optionalDependencies[name] = version;
}

const folder = join(stage, 'main');
for (const part of ['bin', 'lib', 'README.md']) cpSync(join(here, part), join(folder, part), { recursive: true });
pack(folder, main);
rmSync(stage, { recursive: true });

function pack(folder, description) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(description, null, 2)}\n`);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  execFileSync(npm, ['pack', '--silent', '--pack-destination', resolve(out)], { cwd: folder, stdio: 'inherit' });
}
