/**
 * Restores the recordings of a package, and returns the recordings root: the folder that a test proxy starts in.
 * Progress and errors of `assets` go to stderr; when it fails, this throws.
 *
 * @param path An `assets.json`, or a directory at or below one; default the current directory.
 * @param options `offline`: use only what is on this machine.
 */
export function restore(path?: string, options?: { offline?: boolean }): string;

/** Returns the recordings root of a package without restoring anything. */
export function locate(path?: string): string;
