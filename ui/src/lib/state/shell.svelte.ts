import { local } from '#lib/store/local';

/** What is open around the conversation. */
class Shell {
  #isOpen = $state(local.get('sidebar') !== 'closed');
  /** The list of keyboard shortcuts is shown. */
  showsKeys = $state(false);

  /** The sidebar is there. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  set isOpen(isOpen: boolean) {
    this.#isOpen = isOpen;
  }

  toggle(): void {
    this.#isOpen = !this.#isOpen;
    if (matchMedia('(min-width: 768px)').matches) {
      local.set('sidebar', this.#isOpen ? 'open' : 'closed');
    }
  }
}

export const shell = new Shell();
