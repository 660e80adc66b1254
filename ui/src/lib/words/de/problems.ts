import type { problems as English } from '../problems';
import { problemsIn } from '../translating';

export const problems: typeof English = problemsIn({
  sentences: {
    agents_not_granted:
      'Diese Unterhaltung ist mit dir geteilt, doch Assistenten darfst du darin nicht fragen.',
    already_linked: 'Das Konto ist bereits mit einer Identität verknüpft; löse diese zuerst.',
    already_taken: 'Der Benutzername oder die E-Mail-Adresse ist schon vergeben.',
    attachment_limit_reached: 'Deine Dateien wären zusammen größer als erlaubt.',
    authentication_required: 'Melde dich an.',
    auto_approval_not_permitted:
      'Deine Rolle darf dieses Tool nicht durch eine Regel genehmigen lassen.',
    batch_in_progress: 'Eine andere Aktion von dir läuft noch; warte sie ab oder brich sie ab.',
    being_erased: 'Das Konto wird gerade gelöscht; daran lässt sich nichts mehr ändern.',
    busy: 'Zu viele Änderungen gleichzeitig; versuche es gleich noch einmal.',
    category_not_empty: 'In dieser Kategorie sind weitere; entferne oder verschiebe sie zuerst.',
    category_taken: 'An dieser Stelle gibt es schon eine Kategorie mit diesem Namen.',
    changed_meanwhile: 'Die Unterhaltung hat sich inzwischen geändert.',
    claim_in_use: 'Eine andere Gruppe hat diesen Wert schon.',
    claims_off: 'Hier meldet sich niemand über einen Anmeldedienst an.',
    command_settled: 'Über diesen Aufruf wurde schon anders entschieden.',
    command_superseded: 'Die Unterhaltung ist inzwischen weitergegangen.',
    content_unreadable: 'Der gespeicherte Inhalt lässt sich nicht öffnen.',
    conversation_archived: 'Die Unterhaltung ist archiviert; hole sie zuerst aus dem Archiv.',
    cookie_withheld:
      'Dein Browser sendet hier kein Sitzungs-Cookie; rufe den Dienst unter dem Hostnamen dieser Seite auf.',
    daily_limit_reached: 'Dein Kontingent für heute ist aufgebraucht; morgen (UTC) gibt es mehr.',
    export_in_progress: 'Ein Export von dir wird schon erstellt; warte ihn ab oder entferne ihn.',
    group_not_found: 'Diese Gruppe gibt es nicht, oder du bist nicht dabei.',
    held: 'Für das Konto gilt eine Aufbewahrungssperre; es lässt sich erst nach deren Ende löschen.',
    idempotency_key_reused:
      'Diese Aktion wurde schon mit anderem Inhalt gesendet. Versuche es noch einmal.',
    identity_provider_unavailable:
      'Der Anmeldedienst ist nicht erreichbar. Versuche es gleich noch einmal.',
    import_broke_off: 'Der Import wurde zu oft unterbrochen; was importiert ist, bleibt.',
    insufficient_grant: 'Die Unterhaltung ist mit dir geteilt, aber nicht dafür.',
    internal_error: 'Bei uns ist etwas schiefgelaufen.',
    invalid_credentials: 'Benutzername oder Passwort ist falsch.',
    invalid_identity: 'Die Antwort des Anmeldedienstes beweist nicht, wer du bist.',
    invalid_token: 'Der Code ist falsch, verbraucht oder abgelaufen; fordere einen neuen an.',
    keys_unavailable:
      'Die Datenschlüssel dieses Kontos lassen sich gerade nicht öffnen; nichts ist geschehen.',
    last_administrator:
      'Das ist das letzte offene Konto mit Administratorrolle; gib sie zuerst einem anderen.',
    link_password_required: 'Dieser Link hat ein Passwort.',
    link_sign_in_required:
      'Dieser Link zeigt die Unterhaltung, wie sie wächst; melde dich an, um ihn zu öffnen.',
    link_too_long: 'Die Unterhaltung ist zu lang für einen Link.',
    links_off: 'Öffentliche Links sind hier abgeschaltet.',
    malformed: 'Die Anfrage ist nicht lesbar.',
    mcp_not_enabled: 'Tools sind in dieser Unterhaltung aus; schalte sie zuerst ein.',
    mcp_server_unavailable: 'Der Server dieses Tools ist gerade nicht erreichbar.',
    message_id_taken: 'Eine andere Nachricht dieser Unterhaltung hat diese ID.',
    message_unreadable:
      'Die gespeicherte Nachricht ist nicht lesbar und lässt sich daher nicht ändern, nur löschen.',
    model_failed: 'Das Modell konnte nicht antworten; deine Nachricht ist gespeichert.',
    model_nonsense:
      'Die Antwort des Modellanbieters ist nicht lesbar; deine Nachricht ist gespeichert.',
    model_not_configured: 'Es ist kein Modell eingerichtet, daher gibt es keine Antworten.',
    model_rate_limited:
      'Der Modellanbieter ist überlastet; deine Nachricht ist gespeichert, frage später noch einmal.',
    model_refused:
      'Der Modellanbieter hat die Anfrage abgelehnt; der Betreiber sollte die Einstellungen prüfen.',
    model_stream_broken: 'Die Antwort des Modells brach ab; was da ist, bleibt erhalten.',
    model_timed_out: 'Das Modell hat zu lange gebraucht; deine Nachricht ist gespeichert.',
    model_unavailable:
      'Der Modellanbieter ist nicht erreichbar oder gestört; deine Nachricht ist gespeichert.',
    no_password:
      'Das Konto hat kein Passwort: Ohne die Identität könnte sich niemand mehr damit anmelden.',
    no_space: 'Auf der Festplatte des Dienstes ist kein Platz; versuche es später.',
    not_author: 'Nur wer die Notiz geschrieben hat, kann sie ändern.',
    not_found: 'Das gibt es nicht, oder es gehört dir nicht.',
    not_last_answer:
      'Nur die letzte Nachricht lässt sich neu beantworten, und nur wenn sie vom Assistenten ist.',
    not_manager:
      'Das dürfen nur die Verwalter der Gruppe und wem sie gehört, manches nur Letztere.',
    not_undoable: 'Endgültiges Löschen lässt sich nicht rückgängig machen.',
    nothing_to_answer: 'Es gibt keine Nachricht, die neu beantwortet werden könnte.',
    outcome_unknown:
      'Die Verbindung brach beim Speichern ab; die Änderung ist vielleicht gespeichert, vielleicht nicht.',
    passwords_off: 'Hier meldet man sich nicht mit Passwort an, sondern beim Anmeldedienst.',
    pdf_failed: 'Das PDF konnte nicht erstellt werden; exportiere als HTML und drucke das.',
    pdf_not_installed: 'Dieser Dienst erstellt keine PDFs: typst ist nicht installiert.',
    permission_denied: 'Das darfst du nicht.',
    precondition_required:
      'Die Unterhaltung hat mehr, als zu sehen ist. Lade sie neu und ändere noch einmal.',
    registration_closed:
      'Die Registrierung ist geschlossen; bitte die Administration um ein Konto.',
    reply_in_progress:
      'In dieser Unterhaltung wird gerade eine Antwort geschrieben; warte sie ab oder halte sie an.',
    reply_interrupted: 'Der Dienst wurde während der Antwort beendet; was da ist, bleibt erhalten.',
    reply_not_continued: 'Nach den Tools ging die Antwort nicht weiter; sende eine neue Nachricht.',
    reply_under_way: 'Auf dem angezeigten Zweig läuft eine Antwort oder wartet eine Entscheidung.',
    service_account: 'Dieses Konto gehört einem Programm, keiner Person.',
    session_required: 'Dafür musst du angemeldet sein; ein API-Schlüssel genügt nicht.',
    sign_in_again:
      'Dein Konto hat kein Passwort: Melde dich erneut an und wiederhole dies binnen zehn Minuten.',
    stale_version: 'Das wurde inzwischen geändert; lies es neu und wiederhole deine Änderung.',
    storage_full: 'Dein Speicherplatz ist voll; lösche zuerst etwas, auch aus dem Papierkorb.',
    stored_not_shown: 'Die Änderung ist gespeichert, kann aber gerade nicht angezeigt werden.',
    token_limit_reached: 'Die Unterhaltung hat ihre Tokens verbraucht.',
    too_many_api_keys: 'Du hast so viele API-Schlüssel wie erlaubt; widerrufe zuerst einen.',
    too_many_commands: 'Diese Nachricht hat so viele Aufrufe wie erlaubt; sende eine neue.',
    too_many_connections: 'Von dieser Adresse kommen zu viele Verbindungen.',
    too_many_grants: 'Diese Unterhaltung ist mit so vielen geteilt wie erlaubt.',
    too_many_group_grants:
      'Die Unterhaltung ist schon mit 20 Gruppen geteilt, oder mit dieser Gruppe sind es 1.000.',
    too_many_groups: 'Dir gehören 100 Gruppen; lösche erst eine.',
    too_many_links: 'Du hast so viele öffentliche Links wie erlaubt; widerrufe zuerst einen.',
    too_many_members: 'Die Gruppe hat 200 Mitglieder; entferne erst eines.',
    too_many_notes: 'Diese Unterhaltung hat so viele Notizen wie erlaubt.',
    too_many_requests: 'Zu viele Versuche; versuche es später noch einmal.',
    too_many_rounds: 'Das Modell wollte zu oft Tools verwenden; sende eine neue Nachricht.',
    too_many_streams: 'Du hast zu viele offene Verbindungen; schließe einige Tabs.',
    too_many_tags: 'Die Unterhaltung hätte mehr als 64 Schlagwörter.',
    too_many_templates: 'Du hast 200 Vorlagen; lösche erst eine.',
    too_many_to_sort:
      'Titel sind versiegelt, und es sind zu viele zum Sortieren; wähle eine andere Reihenfolge.',
    too_slow: 'Die Anfrage kam nicht rechtzeitig an.',
    too_many_to_user:
      'Mit dieser Person teilst du schon 200 Unterhaltungen; teile weitere mit einer gemeinsamen Gruppe.',
    tool_not_found: 'Du hast keine Regel für dieses Tool.',
    tool_not_permitted: 'Deine Rolle darf dieses Tool nicht verwenden.',
    unavailable: 'Der Dienst kann das gerade nicht; versuche es gleich noch einmal.',
    under_hold: 'Eine Aufbewahrungssperre schützt dies vor dem endgültigen Löschen.',
    unknown_parent: 'Die Nachricht, auf die das folgt, gibt es in der Unterhaltung nicht.',
    upload_busy: 'Ein anderer Teil dieser Datei wird gerade hochgeladen.',
    upload_elsewhere: 'Ein anderer Server hat den Anfang dieser Datei; lade sie neu hoch.',
    upload_in_use: 'Ein Import verwendet diese Datei; brich ihn erst ab.',
    upload_incomplete: 'Die Datei ist noch nicht vollständig hochgeladen.',
    upload_missing: 'Die hochgeladene Datei ist weg; lade sie noch einmal hoch.',
    user_not_found: 'Diese Person gibt es hier nicht.',
    wrong_link_password: 'Das ist nicht das Passwort des Links.',
    wrong_offset: 'Das Hochladen brach an anderer Stelle ab; versuche es noch einmal.',
  },
  leads: {
    conflict: 'Das widerspricht dem, was gespeichert ist: ',
    import_rejected: 'Die Datei lässt sich nicht importieren: ',
    invalid_input: 'Das wird so nicht angenommen: ',
    invalid_query: 'Die Suchanfrage ist nicht lesbar: ',
    too_large: 'Das ist zu groß: ',
  },
  fields: {
    email: () => 'Das ist keine gültige E-Mail-Adresse.',
    greater_than_equal: (limit) => `Mindestens ${limit}.`,
    less_than_equal: (limit) => `Höchstens ${limit}.`,
    missing: () => 'Dieses Feld wird gebraucht.',
    name_characters: () => 'Ein Name hat keine Steuerzeichen und Zeilenumbrüche.',
    password_too_long: () => 'Das Passwort ist zu lang.',
    string_too_long: (limit) => `Höchstens ${limit} Zeichen.`,
    string_too_short: (limit) =>
      limit === '1' ? 'Bitte ausfüllen.' : `Mindestens ${limit} Zeichen.`,
    username_characters: () => 'Der Benutzername enthält Zeichen, die nicht erlaubt sind.',
    username_id: () => 'Der Benutzername darf nicht wie eine ID aussehen.',
    username_scripts: () =>
      'Der Benutzername darf nur eine Schrift verwenden, etwa nur lateinische Buchstaben.',
  },
  limits: {
    reads_per_minute:
      'Du hast so viel gelesen, wie du in einer Minute darfst. Versuche es in einer Minute noch einmal.',
    writes_per_minute:
      'Du hast so viel geändert, wie du in einer Minute darfst. Versuche es in einer Minute noch einmal.',
    searches_per_minute:
      'Du hast so oft gesucht, wie du in einer Minute darfst. Versuche es in einer Minute noch einmal.',
    exports_per_minute:
      'Du hast so oft exportiert, wie du in einer Minute darfst. Versuche es in einer Minute noch einmal.',
    messages_per_day:
      'Du hast heute so viele Nachrichten geschrieben, wie du darfst. Nach Mitternacht (UTC) geht es weiter.',
    tokens_per_day:
      'Deine Tokens für heute sind verbraucht, daher antworten dir keine Modelle. Nach Mitternacht (UTC) geht es weiter.',
    stored_bytes:
      'Deine Nachrichten belegen so viel Platz, wie du haben darfst. Lösche einige und leere den Papierkorb, oder bitte die Administration um mehr.',
  },
});
