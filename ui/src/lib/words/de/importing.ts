import type { importing as English } from '../importing';

export const importing: typeof English = {
  uploading:
    'Wird hochgeladen. Lass diese Seite offen, bis es fertig ist; nach einem Verbindungsabbruch geht es weiter.',
  uploaded: (done, all) => `${done} von ${all} hochgeladen`,
  waiting: 'Wartet, bis es an der Reihe ist …',
  reading: (done, all) => `Lesen: ${done} von ${all}`,
  storing: (done, all) => `Speichern: ${done} von ${all} Unterhaltungen`,
  looking: (done, all) => `Vergleichen: ${done} von ${all} Unterhaltungen`,
  mayLeave:
    'Der Import läuft weiter, wenn du diese Seite verlässt; er ist hier aufgeführt, wenn du zurückkommst.',
  broken: 'Die Verbindung ist unterbrochen; sie wird wieder aufgenommen.',
  names: (names) =>
    names.length > 4
      ? `${names.slice(0, 3).join(', ')} und ${names.length - 3} weiteren`
      : names.join(', '),
  cancelled:
    'Der Import ist abgebrochen. Was bis dahin importiert wurde, bleibt, jede Unterhaltung vollständig.',
  nothing: 'Nichts wurde importiert: Alles ist schon hier oder wurde ausgelassen.',
  failed: 'Der Import ist fehlgeschlagen.',
  found: 'Gefunden',
  updated: 'Aktualisiert',
  replaced: 'Ersetzt',
  copied: 'Kopiert',
  deletedHere: 'Hier gelöscht',
  diverged: 'Hier geändert',
  formats: 'Was erkannt wurde',
  unknown: 'Was nicht verstanden wurde und unverändert aufbewahrt wird',
  earlier: 'Importe im Hintergrund',
  states: {
    queued: 'Wartet',
    running: 'Läuft',
    completed: 'Abgeschlossen',
    nothing_imported: 'Nichts importiert',
    cancelled: 'Abgebrochen',
    failed: 'Fehlgeschlagen',
  },
  show: 'Anzeigen',
  options: 'Optionen',
  duplicates: 'Was schon einmal importiert wurde',
  onDuplicate: {
    skip: 'So lassen, wie es ist',
    update: 'Neue Nachrichten am Ende hinzufügen',
    replace: 'Durch den Inhalt der Datei ersetzen',
    copy: 'Noch einmal daneben importieren',
  },
  restore: 'Auch importieren, was du hier gelöscht hast',
};
