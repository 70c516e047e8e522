// Time that passes, also while the host is suspended.
//
// Node has no direct access to CLOCK_BOOTTIME. On Linux `os.uptime()` is that clock, read from /proc/uptime, in steps of
// 10 ms (of 1 s in Node 18). `performance.now()` is finer and stands still during a suspend. On other systems the wall clock
// takes the place of `os.uptime()`. The clock that says that more time has passed decides.

import os from "node:os";

/** The clocks that are read, in milliseconds. Tests put others in their place. */
export const clocks = [
  () => performance.now(),
  process.platform === "linux" ? () => 1000 * os.uptime() : () => Date.now(),
];

/** A moment that has passed. */
export class Moment {
  #read = clocks.map((clock) => clock());

  /** The milliseconds since then. */
  elapsed() {
    return Math.max(0, ...clocks.map((clock, n) => clock() - this.#read[n]));
  }
}
