/** The names that the page has for what the service sends and takes. */
import type { components } from './schema';

type Schemas = components['schemas'];
export type Account = Schemas['UserDetailOut'];
export type AdminUser = Schemas['AdminUserOut'];
export type Agent = Schemas['AgentOut'];
export type Agents = Schemas['AgentsOut'];
export type ApiKey = Schemas['ApiKeyOut'];
export type Attachment = Schemas['AttachmentOut'];
export type AuditCount = Schemas['AuditCountOut'];
export type AuditEntry = Schemas['AuditEntryOut'];
export type Batch = Schemas['BatchOut'];
export type BatchBody = Schemas['BatchCreate'];
export type Category = Schemas['CategoryOut'];
export type Command = Schemas['CommandOnMessage'];
export type Context = Schemas['ContextOut'];
export type Erasure = Schemas['ErasureOut'];
export type Fork = Schemas['ForkOut'];
export type Heading = Schemas['HeadingOut'];
export type Hit = Schemas['HitOut'];
export type Include = Schemas['Include'];
export type ImportJob = Schemas['ImportJobOut'];
export type ImportResult = Schemas['ImportOut'];
export type Message = Schemas['MessageOut'];
export type ExportFormat = Schemas['ConversationFormat'];
export type ExportJob = Schemas['ExportJobOut'];
export type FilePart = Schemas['FilePart'];
export type MyData = Schemas['MyDataOut'];
export type Piece = Schemas['PieceOut'];
export type Part =
  | Schemas['TextPart']
  | Schemas['ThinkingPart']
  | Schemas['ToolCallPart']
  | Schemas['ToolResultPart']
  | Schemas['CitationPart']
  | Schemas['RawPart']
  | FilePart;
export type Preferences = Schemas['PreferencesOut'];
export type Quota = Schemas['QuotaOut'];
export type Grant = Schemas['GrantOut'];
export type GrantRole = Schemas['GrantRole'];
export type Group = Schemas['GroupSummaryOut'];
export type GroupGrant = Schemas['GroupGrantOut'];
export type GroupMember = Schemas['MemberOut'];
export type GroupRole = Schemas['MemberRole'];
export type Health = Schemas['ServiceHealthOut'];
export type Hold = Schemas['HoldOut'];
export type ListedQuota = Schemas['ListedQuotaOut'];
export type MyUsage = Schemas['MyUsageOut'];
export type Note = Schemas['NoteOut'];
export type People = Schemas['PeopleOut'];
export type Found = Schemas['ResultOut'];
export type Revision = Schemas['RevisionOut'];
export type Role = Schemas['Role'];
export type RoleRetention = Schemas['RoleRetentionOut'];
export type Rule = Schemas['RuleOut'];
export type Scope = Schemas['Scope'];
export type Server = Schemas['ServerOut'];
export type SharedConversation = Schemas['SharedConversation'];
export type SharedLink = Schemas['LinkOut'];
export type SharedMessage = Schemas['SharedMessageOut'];
export type SharedPage = Schemas['SharedOut'];
export type SignedInSession = Schemas['SessionOut'];
export type Stats = Schemas['StatsOut'];
export type Summary = Schemas['ConversationSummary'];
export type TagCount = Schemas['TagOut'];
export type Tool = Schemas['ToolOut'];
export type UiConfig = Schemas['UiConfig'];
export type Upload = Schemas['UploadOut'];
export type Usage = Schemas['UsageOut'];
export type Verification = Schemas['VerificationOut'];
export type User = Schemas['UserOut'];
