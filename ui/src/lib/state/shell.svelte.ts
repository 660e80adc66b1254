import { local } from '#lib/store/local';

export const WIDTH = 280;
export const NARROWEST = 220;
export const WIDEST = 480;

/** What is open around the conversation. */
class Shell {
  #isOpen = $state(local.get('sidebar') !== 'closed');
  #width = $state(widthOf(Number(local.get('sidebar-width') ?? WIDTH)));
  /** The list of keyboard shortcuts is shown. */
  showsKeys = $state(false);
  /** Words are searched for over the page. */
  isSearching = $state(false);

  /** The sidebar is there. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  set isOpen(isOpen: boolean) {
    this.#isOpen = isOpen;
  }

  /** How wide the sidebar is, in pixels. */
  get width(): number {
    return this.#width;
  }

  set width(width: number) {
    this.#width = widthOf(width);
    local.set('sidebar-width', String(this.#width));
  }

  toggle(): void {
    this.#isOpen = !this.#isOpen;
    if (matchMedia('(min-width: 768px)').matches) {
      local.set('sidebar', this.#isOpen ? 'open' : 'closed');
    }
  }
}

function widthOf(width: number): number {
  return Math.round(Math.min(WIDEST, Math.max(NARROWEST, width || WIDTH)));
}

export const shell = new Shell();
