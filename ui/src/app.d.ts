declare global {
  namespace App {
    interface PageState {
      /** Which part of the page is open over it, so that "back" closes it. */
      panel?: 'sidebar';
    }
  }
}

export {};
