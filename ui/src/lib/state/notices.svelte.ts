/** One line that is shown for a moment, and read out. */
class Notices {
  text = $state('');
  isBad = $state(false);
  /** What is said to screen readers only. */
  spoken = $state('');
  /** What can be done about it, such as undoing it. */
  action = $state.raw<{ label: string; run: () => void } | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;

  show(
    text: string,
    { isBad = false, action = null }: { isBad?: boolean; action?: Notices['action'] } = {},
  ): void {
    clearTimeout(this.#timer);
    this.text = text;
    this.isBad = isBad;
    this.action = action;
    this.#timer = setTimeout(() => this.hide(), isBad || action ? 8000 : 3500);
  }

  hide(): void {
    this.text = '';
    this.action = null;
  }

  say(text: string): void {
    this.spoken = text;
  }
}

export const notices = new Notices();
