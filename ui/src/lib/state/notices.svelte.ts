/** One line that is shown for a moment, and read out. */
class Notices {
  text = $state('');
  isBad = $state(false);
  /** What is said to screen readers only. */
  spoken = $state('');
  #timer: ReturnType<typeof setTimeout> | undefined;

  show(text: string, { isBad = false } = {}): void {
    clearTimeout(this.#timer);
    this.text = text;
    this.isBad = isBad;
    this.#timer = setTimeout(() => (this.text = ''), isBad ? 8000 : 3500);
  }

  say(text: string): void {
    this.spoken = text;
  }
}

export const notices = new Notices();
