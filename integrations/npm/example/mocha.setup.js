import { restore } from 'assets-sync';

export function mochaGlobalSetup() {
  process.env.ASSETS_ROOT = restore();
}
