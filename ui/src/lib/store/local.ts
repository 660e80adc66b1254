const PREFIX = 'chatvault.';

/** Small values that outlast the page; a browser that keeps none goes on without. */
export const local = {
  get(name: string): string | null {
    try {
      return localStorage.getItem(PREFIX + name);
    } catch {
      return null;
    }
  },

  set(name: string, value: string): void {
    try {
      localStorage.setItem(PREFIX + name, value);
    } catch {
      // Full or forbidden.
    }
  },

  drop(name: string): void {
    try {
      localStorage.removeItem(PREFIX + name);
    } catch {
      // Forbidden.
    }
  },

  /** Drop all that is ours, and nothing of another page on this origin. */
  clear(): void {
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith(PREFIX)) localStorage.removeItem(key);
      }
    } catch {
      // Forbidden.
    }
  },
};
