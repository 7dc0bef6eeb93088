import { restore } from 'assets-sync';

export default function setup() {
  process.env.ASSETS_ROOT = restore();
}
